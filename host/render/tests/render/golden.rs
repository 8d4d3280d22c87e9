//! Golden texts: what is rendered changes on purpose only.

use convergence_model::workload::EnvValue;
use convergence_model::{OrgId, SourceDigest};
use convergence_render::{DockerfileOptions, compose, context, dockerfile, image_tag};

use crate::plans;

const PLAIN: DockerfileOptions = DockerfileOptions { ca_bundle: false };

#[test]
fn dockerfiles() {
    for (name, plan) in
        [("node", plans::node()), ("python", plans::python()), ("go", plans::go()), ("nasty", plans::nasty())]
    {
        let text = dockerfile(&plans::guarded(plan), &plans::bases(), &PLAIN);
        insta::assert_snapshot!(format!("dockerfile-{name}"), text);
    }
}

#[test]
fn a_site_with_a_ca_of_its_own() {
    let guarded = plans::guarded(plans::node());
    let text = dockerfile(&guarded, &plans::bases(), &DockerfileOptions { ca_bundle: true });
    insta::assert_snapshot!("dockerfile-node-ca", text);
    // Nothing of it is left in what runs: neither in the final stage, which runs nothing here, nor in a variable.
    let (_, last) = text.split_once("AS run").unwrap();
    assert!(!last.contains("ca-certificates") && !text.contains("ENV SSL"), "{text}");
}

#[test]
fn a_workload_without_a_published_port_or_leased_addresses_has_neither_in_its_compose_file() {
    let mut workload = plans::workload(&plans::guarded(plans::node()), &[]);
    assert!(compose(&workload).contains("ports:") && compose(&workload).contains("ipam:"));
    workload.published = None;
    workload.boundary.addresses = None;
    let text = compose(&workload);
    assert!(!text.contains("ports:") && !text.contains("ipam:") && !text.contains("3001"), "{text}");
}

#[test]
fn compose_files() {
    for (name, plan) in [("node", plans::node()), ("go", plans::go()), ("nasty", plans::nasty())] {
        let workload =
            plans::workload(&plans::guarded(plan), &[("GREETING", "Hello, ${USER}!"), ("NODE_OPTIONS", "mine")]);
        let text = compose(&workload);
        assert!(!text.contains("sk_tenant_do_not_show"), "a secret is shown");
        insta::assert_snapshot!(format!("compose-{name}"), text);
    }
}

#[test]
fn the_platforms_variables_win_over_the_tenants_and_those_over_the_templates() {
    let mut plan = plans::node();
    for name in ["NODE_ENV", "LOG_LEVEL", "PORT", "HOME", "GREETING"] {
        plan.service.env.push(plans::attribute(name, "template"));
    }
    let workload =
        plans::workload(&plans::guarded(plan), &[("GREETING", "tenant"), ("NODE_ENV", "tenant"), ("PORT", "1")]);
    let literal = |name: &str| match &workload.env[name] {
        EnvValue::Literal(value) => value.clone(),
        EnvValue::Secret(_) => panic!("{name} is secret"),
    };
    assert_eq!(literal("GREETING"), "tenant");
    assert_eq!(literal("NODE_ENV"), "production");
    assert_eq!(literal("LOG_LEVEL"), "info");
    assert_eq!(literal("PORT"), "3000");
    assert_eq!(literal("HOME"), "/tmp");
    assert_eq!(literal("TENANT_ID"), "tenant_7");
    assert_eq!(literal("TENANT_NAME"), "my app");
    assert!(matches!(&workload.env["CONVERGENCE_API_KEY"], EnvValue::Secret(_)));
    assert_eq!(workload.name, "convergence-tenant-7");
    assert_eq!(workload.volumes[0].volume, "convergence-tenant-7-data");
}

#[test]
fn home_is_always_writable() {
    let workload = plans::workload(&plans::guarded(plans::go()), &[]);
    assert_eq!(workload.tmpfs[0].path, "/tmp");
}

#[test]
fn the_context_holds_the_plans_files_in_a_folder_of_ours() {
    let paths = |ca: Option<&[u8]>| -> Vec<String> {
        context(&plans::guarded(plans::nasty()), ca).into_iter().map(|file| file.path).collect()
    };
    let plan = [".convergence/plan/.dockerignore", ".convergence/plan/Dockerfile", ".convergence/plan/a/@b+c.txt"];
    assert_eq!(paths(None), plan);
    assert_eq!(paths(Some(b"PEM"))[0], ".convergence/ca-certificates.crt");
}

#[test]
fn an_image_is_named_after_everything_that_goes_into_it() {
    let guarded = plans::guarded(plans::node());
    let bases = plans::bases();
    let text = dockerfile(&guarded, &bases, &PLAIN);
    let files = context(&guarded, None);
    let tag = image_tag("convergence-tenant", OrgId(1), &text, &files, None, bases.values());
    assert_eq!(tag, image_tag("convergence-tenant", OrgId(1), &text, &files, None, bases.values()));
    let (repository, hash) = tag.split_once(':').unwrap();
    assert_eq!((repository, hash.len()), ("convergence-tenant/org-1", 32));

    let mut changed = vec![
        image_tag("convergence-tenant", OrgId(2), &text, &files, None, bases.values()),
        image_tag("convergence-tenant", OrgId(1), &format!("{text}\n"), &files, None, bases.values()),
        image_tag("convergence-tenant", OrgId(1), &text, &files[1..], None, bases.values()),
        image_tag("convergence-tenant", OrgId(1), &text, &files, None, bases.values().skip(1)),
        image_tag("convergence-tenant", OrgId(1), &text, &files, Some(&SourceDigest::new([1; 32])), bases.values()),
        image_tag("convergence-tenant", OrgId(1), &text, &files, Some(&SourceDigest::new([2; 32])), bases.values()),
    ];
    let mut other = files.clone();
    other[0].executable = true;
    changed.push(image_tag("convergence-tenant", OrgId(1), &text, &other, None, bases.values()));
    let mut other = files.clone();
    other[0].contents.0.push(b' ');
    changed.push(image_tag("convergence-tenant", OrgId(1), &text, &other, None, bases.values()));
    // Moving a byte from a path into the contents changes it too.
    let mut other = files.clone();
    let byte = other[0].path.pop().unwrap();
    other[0].contents.0.insert(0, byte as u8);
    changed.push(image_tag("convergence-tenant", OrgId(1), &text, &other, None, bases.values()));
    let hashes: std::collections::BTreeSet<&str> = changed.iter().map(|tag| tag.split_once(':').unwrap().1).collect();
    assert_eq!(hashes.len(), changed.len());
    assert!(!hashes.contains(hash));
}
