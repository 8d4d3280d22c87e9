//! How applications of the known frameworks are built and started.

use super::*;

fn with(package: &str, files: &[(&str, &str)]) -> Request {
    let lock = ("package-lock.json", "{}");
    Request::application("demo", [("package.json", package), lock].into_iter().chain(files.iter().copied()))
}

fn detected(request: &Request) -> Option<String> {
    Node::detect(request, &NoConfig {}).unwrap().unwrap().framework
}

/// Where the files of a site come from.
fn site(plan: &BuildPlan) -> String {
    assert_eq!(plan.service.command, ["node", "/app/serve.mjs", "/app/site"]);
    assert_eq!(plan.service.health.probe, Probe::Http("/".into()));
    assert!(plan.files.iter().any(|file| file.path == "serve.mjs"));
    let run = copies(plan.stages.last().unwrap());
    assert_eq!(run[0], (Origin::Plan, "serve.mjs".to_owned()));
    assert_eq!(run[1].0, Origin::Stage("build".into()));
    run[1].1.clone()
}

#[test]
fn servers_are_started_by_their_script_or_their_file() {
    for framework in ["express", "fastify", "koa"] {
        let package = format!(r#"{{"dependencies":{{"{framework}":"1"}}}}"#);
        let request = with(&package, &[("server.js", "")]);
        assert_eq!(detected(&request).as_deref(), Some(framework));
        let plan = plan(&request);
        assert_eq!(plan.service.command, ["node", "server.js"]);
        assert!(is_noted(&plan, &format!("Framework {framework}, by the dependencies in package.json")));
    }
}

#[test]
fn next_is_built_and_listens_to_everybody() {
    let package = r#"{"scripts":{"build":"next build"},"dependencies":{"next":"15"}}"#;
    let plan = plan(&with(package, &[]));
    assert_eq!(plan.service.command, ["next", "start", "-p", "3000", "-H", "0.0.0.0"]);
    assert!(commands(&plan.stages[0]).contains(&"npm run build".to_owned()));
    assert!(plan.stages[1].steps.contains(&Step::PrependPath("/app/node_modules/.bin".into())));
    assert!(plan.service.writable.iter().any(|folder| folder.path == "/app/.next/cache"));
    for name in ["HOST", "HOSTNAME"] {
        assert!(plan.service.env.contains(&Attribute::new(name, "0.0.0.0")), "{name}");
    }
}

#[test]
fn frameworks_on_vite_are_no_sites_by_themselves() {
    let started = |packages: &str| {
        let package = format!(r#"{{"scripts":{{"build":"x"}},"devDependencies":{{"vite":"6",{packages}}}}}"#);
        let request = with(&package, &[]);
        plan(&request)
    };
    assert_eq!(started(r#""nuxt":"3""#).service.command, ["node", ".output/server/index.mjs"]);
    let generated = r#"{"scripts":{"build":"nuxt generate"},"dependencies":{"nuxt":"3"}}"#;
    assert_eq!(site(&plan(&with(generated, &[]))), "/app/.output/public");
    assert_eq!(started(r#""astro":"5","@astrojs/node":"9""#).service.command, ["node", "dist/server/entry.mjs"]);
    assert_eq!(site(&started(r#""astro":"5""#)), "/app/dist");
    let kit = |adapter: &str| format!(r#""@sveltejs/kit":"2","@sveltejs/adapter-{adapter}":"5""#);
    assert_eq!(started(&kit("node")).service.command, ["node", "build"]);
    assert_eq!(site(&started(&kit("static"))), "/app/build");
    let package = format!(r#"{{"devDependencies":{{{}}}}}"#, kit("auto"));
    let (place, why) = refusal(&with(&package, &[]));
    assert!(place == "package.json" && why.contains("install `@sveltejs/adapter-node`"), "{why}");
}

#[test]
fn next_that_exports_is_a_site() {
    let package = r#"{"scripts":{"build":"next build"},"dependencies":{"next":"15"}}"#;
    let config = ("next.config.mjs", "export default { output: 'export' };");
    assert_eq!(site(&plan(&with(package, &[config]))), "/app/out");
}

#[test]
fn nest_is_not_started_by_its_compiler() {
    let package = r#"{"scripts":{"build":"nest build","start":"nest start"},"dependencies":{"@nestjs/core":"11","express":"5"},"devDependencies":{"@nestjs/cli":"11"}}"#;
    let request = with(package, &[]);
    assert_eq!(detected(&request).as_deref(), Some("nest"));
    let first = plan(&request);
    assert_eq!(first.service.command, ["node", "dist/main"]);
    assert!(is_noted(&first, "`nest start`, is for development and is not used"));
    let package = package.replace("\"nest start\"", "\"nest start\",\"start:prod\":\"node dist/src/main\"");
    assert_eq!(plan(&with(&package, &[])).service.command, ["node", "dist/src/main"]);
}

#[test]
fn react_router_and_remix_by_their_servers() {
    let router = r#"{"scripts":{"build":"react-router build"},"dependencies":{"@react-router/serve":"7"},"devDependencies":{"@react-router/dev":"7","vite":"6"}}"#;
    assert_eq!(plan(&with(router, &[])).service.command, ["react-router-serve", "./build/server/index.js"]);
    let config = ("react-router.config.ts", "export default {\n  ssr: false,\n} satisfies Config;");
    assert_eq!(site(&plan(&with(router, &[config]))), "/app/build/client");

    let remix = r#"{"scripts":{"build":"remix vite:build"},"dependencies":{"@remix-run/serve":"2"}}"#;
    assert_eq!(plan(&with(remix, &[])).service.command, ["remix-serve", "./build/index.js"]);
    let vite = ("vite.config.ts", "");
    assert_eq!(plan(&with(remix, &[vite])).service.command, ["remix-serve", "./build/server/index.js"]);

    let alone = r#"{"scripts":{"build":"x"},"devDependencies":{"@react-router/dev":"7"}}"#;
    let (place, why) = refusal(&with(alone, &[]));
    assert_eq!(place, "package.json:scripts.start");
    assert!(why.contains("@react-router/serve"), "{why}");
}

#[test]
fn vite_without_a_server_is_a_site() {
    let package = r#"{"scripts":{"dev":"vite","build":"vite build","preview":"vite preview"},"dependencies":{"react":"19"},"devDependencies":{"vite":"6"}}"#;
    let request = with(package, &[]);
    assert_eq!(detected(&request).as_deref(), Some("vite"));
    let built = plan(&request);
    assert_eq!(site(&built), "/app/dist");
    assert_eq!(commands(&built.stages[0]), ["npm ci --include=dev --no-audit --no-fund", "npm run build"]);
    assert!(is_noted(&built, "Served as files from `dist`"));
    let config = ("vite.config.ts", "export default defineConfig({ build: { outDir: './www/' } })");
    assert_eq!(site(&plan(&with(package, &[config]))), "/app/www");
    let outside = ("vite.config.ts", "export default { build: { outDir: '../dist' } }");
    assert_eq!(refusal(&with(package, &[outside])).0, "vite.config.ts");
}

#[test]
fn a_server_that_builds_with_vite_is_a_server() {
    let package = r#"{"scripts":{"build":"vite build"},"dependencies":{"express":"5"},"devDependencies":{"vite":"6"}}"#;
    let mut request = with(package, &[("server.js", "")]);
    assert_eq!(plan(&request).service.command, ["node", "server.js"]);
    request.framework = Some("vite".into());
    assert_eq!(site(&plan(&request)), "/app/dist");
}

#[test]
fn servers_for_development_are_not_for_the_public() {
    let cra = r#"{"scripts":{"start":"react-scripts start","build":"react-scripts build"},"dependencies":{"react-scripts":"5"}}"#;
    let plan = plan(&with(cra, &[]));
    assert_eq!(site(&plan), "/app/build");
    assert!(is_noted(&plan, "`react-scripts start`, is for development"));
}

#[test]
fn a_start_script_wins() {
    let package = r#"{"scripts":{"build":"vite build","start":"node server.js"},"dependencies":{"next":"15"},"devDependencies":{"vite":"6"}}"#;
    assert_eq!(plan(&with(package, &[])).service.command, ["node", "server.js"]);
    let package =
        r#"{"scripts":{"start":"cross-env NODE_ENV=production node a.js"},"devDependencies":{"cross-env":"7"}}"#;
    assert_eq!(plan(&with(package, &[])).service.command, ["node", "a.js"]);
}

#[test]
fn a_start_script_that_needs_a_development_dependency_is_refused() {
    let package = r#"{"scripts":{"start":"nodemon server.js"},"devDependencies":{"nodemon":"3"}}"#;
    let (place, why) = refusal(&with(package, &[]));
    assert_eq!(place, "package.json:scripts.start");
    assert!(why.contains("`nodemon`") && why.contains("move `nodemon` to dependencies"), "{why}");
}

#[test]
fn what_is_never_built_is_refused() {
    let (place, why) = refusal(&with(r#"{"dependencies":{"next":"15"}}"#, &[]));
    assert_eq!(place, "package.json:scripts.build");
    assert!(why.contains("\"build\": \"next build\""), "{why}");
}

#[test]
fn the_starter_is_of_express_alone() {
    let mut request = Request::starter("demo");
    request.framework = Some("next".into());
    let (place, why) = refusal(&request);
    assert!(place == "framework" && why.contains("bring an application of `next`"), "{why}");
}
