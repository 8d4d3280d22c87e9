//! Which package manager installs, in which version, and what is left of it.

use super::*;

const PACKAGE: &str = r#"{"scripts":{"start":"node app.js"},"dependencies":{"express":"^5"}}"#;
const BUILT: &str = r#"{"scripts":{"start":"node dist/app.js","build":"tsc"},"dependencies":{"express":"^5"},"devDependencies":{"typescript":"5"}}"#;
const PROVIDE: &str = "npm install --global --prefix /opt/package-manager --no-audit --no-fund ";

fn with(package: &str, files: &[(&str, &str)]) -> BuildPlan {
    plan(&Request::application("demo", [("package.json", package)].into_iter().chain(files.iter().copied())))
}

fn named(manager: &str, package: &str) -> String {
    package.replacen('{', &format!(r#"{{"packageManager":"{manager}","#), 1)
}

#[test]
fn pnpm_by_its_lock_file() {
    let plan = with(PACKAGE, &[("pnpm-lock.yaml", "lockfileVersion: '9.0'\n")]);
    assert_eq!(
        commands(&plan.stages[0]),
        [&format!("{PROVIDE}pnpm@10.34.8"), "pnpm install --frozen-lockfile --prod", "mkdir -p /app/node_modules"]
    );
    assert_eq!(copies(&plan.stages[0]), [(Origin::Source, "package.json pnpm-lock.yaml".to_owned())]);
    assert!(commands(&plan.stages[1]).is_empty() && is_noted(&plan, "pnpm 10.34.8: the source has pnpm-lock.yaml"));
    assert_eq!(plan.service.command, ["node", "app.js"]);
}

#[test]
fn pnpm_builds_with_development_dependencies_and_removes_them() {
    let plan = with(BUILT, &[("pnpm-lock.yaml", "lockfileVersion: '6.0'\n")]);
    assert_eq!(
        commands(&plan.stages[0]),
        [
            &format!("{PROVIDE}pnpm@8.15.9"),
            "pnpm install --frozen-lockfile --prod=false",
            "pnpm run build",
            "pnpm prune --prod --ignore-scripts"
        ]
    );
}

#[test]
fn yarn_classic_by_its_lock_file() {
    let plan = with(BUILT, &[("yarn.lock", "# yarn lockfile v1\n")]);
    assert_eq!(
        commands(&plan.stages[0]),
        [
            &format!("{PROVIDE}yarn@1.22.22"),
            "yarn install --frozen-lockfile --non-interactive --production=false",
            "yarn run build",
            "yarn install --frozen-lockfile --non-interactive --production --ignore-scripts --prefer-offline"
        ]
    );
}

#[test]
fn yarn_berry_by_its_lock_file() {
    let plan = with(PACKAGE, &[("yarn.lock", "__metadata:\n  version: 8\n"), (".yarnrc.yml", "")]);
    assert_eq!(
        commands(&plan.stages[0]),
        [
            &format!("{PROVIDE}@yarnpkg/cli-dist@4.12.0"),
            "yarn install --immutable",
            "yarn workspaces focus --production --all"
        ]
    );
    assert!(plan.stages[0].steps.contains(&Step::Env(Attribute::new("YARN_NODE_LINKER", "node-modules"))));
}

#[test]
fn yarn_that_cannot_remove_development_dependencies_says_so() {
    let plan = with(BUILT, &[("yarn.lock", "__metadata:\n  version: 6\n")]);
    assert_eq!(commands(&plan.stages[0]).last().unwrap(), "yarn run build");
    assert!(is_noted(&plan, "stay in the image, because Yarn before version 4"));
    let files =
        [("yarn.lock", "__metadata:\n  version: 6\n"), (".yarn/plugins/@yarnpkg/plugin-workspace-tools.cjs", "")];
    assert_eq!(commands(&with(BUILT, &files).stages[0]).last().unwrap(), "yarn workspaces focus --production --all");
}

#[test]
fn a_release_of_yarn_in_the_source_says_the_version() {
    let files = [("yarn.lock", "__metadata:\n  version: 8\n"), (".yarn/releases/yarn-4.1.0.cjs", "")];
    assert!(commands(&with(PACKAGE, &files).stages[0])[0].ends_with("@yarnpkg/cli-dist@4.1.0"));
}

#[test]
fn bun_installs_and_node_runs() {
    let plan = with(BUILT, &[("bun.lock", "{}")]);
    assert_eq!(
        commands(&plan.stages[0]),
        [
            &format!("{PROVIDE}bun@1.4.5"),
            "bun install --frozen-lockfile",
            "bun run build",
            "find /app -name node_modules -type d -prune -exec rm -rf {} +",
            "bun install --frozen-lockfile --production"
        ]
    );
    assert_eq!(plan.service.command, ["node", "dist/app.js"]);
    let start = r#"{"scripts":{"start":"bun run src/index.ts"}}"#;
    let request = Request::application("demo", [("package.json", start), ("bun.lockb", "")]);
    let Err(PluginError::Unsupported(why)) = Node::plan(&request, &NoConfig {}) else {
        panic!("node cannot run it");
    };
    assert!(why.contains("package.json") && why.contains("node server.js"), "{why}");
}

#[test]
fn install_scripts_keep_development_dependencies_where_removing_would_run_them() {
    let package =
        r#"{"scripts":{"start":"node a.js","postinstall":"prisma generate"},"devDependencies":{"prisma":"6"}}"#;
    let plan = with(package, &[("bun.lock", "{}")]);
    assert_eq!(commands(&plan.stages[0]).last().unwrap(), "bun install --frozen-lockfile");
    assert!(is_noted(&plan, "development dependencies stay in the image"));
    assert!(commands(&with(package, &[("package-lock.json", "{}")]).stages[0]).last().unwrap().contains("prune"));
}

#[test]
fn the_package_manager_field_names_the_exact_version() {
    for (field, installed) in [
        ("pnpm@9.1.0+sha512.abc0", "pnpm@9.1.0"),
        ("yarn@4.9.2", "@yarnpkg/cli-dist@4.9.2"),
        ("yarn@1.22.19", "yarn@1.22.19"),
        ("npm@10.9.0", "npm@10.9.0"),
        ("bun@1.2.23", "bun@1.2.23"),
    ] {
        let plan = with(&named(field, PACKAGE), &[]);
        assert_eq!(commands(&plan.stages[0])[0], format!("{PROVIDE}{installed}"));
        assert!(is_noted(&plan, "packageManager of package.json says so") && is_noted(&plan, "No lock file"));
        assert_eq!(is_noted(&plan, "hash in packageManager is not checked"), field.contains('+'));
    }
}

#[test]
fn an_installation_without_a_lock_file_may_write_one() {
    for (field, command) in [
        ("pnpm@9.1.0", "pnpm install --no-frozen-lockfile --prod"),
        ("yarn@4.9.2", "yarn install --no-immutable"),
        ("yarn@1.22.19", "yarn install --non-interactive --production"),
        ("bun@1.2.23", "bun install --production"),
    ] {
        assert_eq!(commands(&with(&named(field, PACKAGE), &[]).stages[0])[1], command);
    }
}

#[test]
fn two_lock_files_are_refused_unless_the_package_decides() {
    let locks = [("package-lock.json", "{}"), ("yarn.lock", "")];
    let request = |package: &str| Request::application("demo", [("package.json", package)].into_iter().chain(locks));
    let (place, why) = refusal(&request(PACKAGE));
    assert_eq!(place, "package-lock.json");
    assert!(why.contains("package-lock.json of npm, yarn.lock of yarn") && why.contains("delete the others"), "{why}");
    let decided = plan(&request(&named("yarn@1.22.22", PACKAGE)));
    assert!(commands(&decided.stages[0])[1].starts_with("yarn install --frozen-lockfile"));
    assert!(is_noted(&decided, "Ignored, because packageManager decides: package-lock.json"));
    // Both are npm's, and it takes the first.
    let both = with(PACKAGE, &[("npm-shrinkwrap.json", "{}"), ("package-lock.json", "{}")]);
    assert!(is_noted(&both, "exactly as in npm-shrinkwrap.json"));
}

#[test]
fn a_package_manager_field_that_cannot_be_followed_is_refused() {
    for (field, says) in [
        ("pnpm", "it has no version"),
        ("deno@2.0.0", "npm, pnpm, yarn and bun"),
        ("pnpm@latest", "not a version"),
        ("pnpm@https://example.com/x.tgz", "not a version"),
        ("pnpm@9 --foo", "not a version"),
    ] {
        let package = named(field, PACKAGE);
        let (place, why) = refusal(&Request::application("demo", [("package.json", package.as_str())]));
        assert_eq!(place, "package.json:packageManager");
        assert!(why.contains(says) && why.contains(field), "{why}");
    }
    let package = named("pnpm@9.1.0", PACKAGE);
    let (place, why) = refusal(&Request::application("demo", [("package.json", package.as_str()), ("yarn.lock", "")]));
    assert_eq!(place, "package.json:packageManager");
    assert!(why.contains("yarn.lock") && why.contains("`pnpm install`"), "{why}");
}

#[test]
fn a_lock_file_too_large_to_hand_over_still_decides() {
    let mut request = Request::application("demo", [("package.json", PACKAGE), ("pnpm-lock.yaml", "")]);
    request.source.as_mut().unwrap().files.retain(|file| file.path == "package.json");
    assert!(commands(&plan(&request).stages[0])[0].ends_with("pnpm@10.34.8"));
}

#[test]
fn patches_and_settings_of_a_manager_are_there_when_it_installs() {
    let files =
        [("pnpm-lock.yaml", ""), ("pnpm-workspace.yaml", "onlyBuiltDependencies:\n  - x\n"), ("patches/x.patch", "")];
    let plan = with(PACKAGE, &files);
    let expected = ["package.json pnpm-workspace.yaml pnpm-lock.yaml", "patches"];
    assert_eq!(copies(&plan.stages[0]), expected.map(|paths| (Origin::Source, paths.to_owned())));
    // A folder that is a dependency is needed too.
    let local = with(r#"{"main":"a.js","dependencies":{"x":"file:./x"}}"#, &[("package-lock.json", "{}")]);
    assert_eq!(copies(&local.stages[0]), [(Origin::Source, ".".to_owned())]);
}

#[test]
fn a_script_that_calls_its_manager_has_it_in_the_image() {
    let package = r#"{"scripts":{"start":"pnpm migrate && node a.js","migrate":"x"},"dependencies":{"x":"1"}}"#;
    let plan = with(package, &[("pnpm-lock.yaml", "")]);
    assert_eq!(commands(&plan.stages[1]), [format!("{PROVIDE}pnpm@10.34.8")]);
    assert_eq!(plan.service.command, ["npm", "start"]);
    assert!(is_noted(&plan, "pnpm is in the image too"));
    let mut request = Request::application("demo", [("package.json", package), ("pnpm-lock.yaml", "")]);
    request.processes = vec![Attribute::new("web", "pnpm run serve")];
    assert_eq!(commands(&super::plan(&request).stages[1]), [format!("{PROVIDE}pnpm@10.34.8")]);
}
