//! Applications that are not at the root of their source.

use super::*;

const APP: &str = r#"{"scripts":{"start":"node app.js"},"dependencies":{"express":"^5"}}"#;
const LIBRARY: &str = r#"{"name":"library","scripts":{"build":"tsc"}}"#;
const ROOT: &str = r#"{"workspaces":["apps/*","libs/*"]}"#;

#[test]
fn the_only_folder_with_a_package_is_the_application() {
    let request = Request::application(
        "demo",
        [
            ("README.md", ""),
            ("backend/package.json", APP),
            ("backend/package-lock.json", "{}"),
            ("backend/.nvmrc", "20"),
        ],
    );
    let plan = plan(&request);
    assert!(is_noted(&plan, "The application is in `backend`: backend/package.json is the only"));
    assert!(is_noted(&plan, "Node 20, because backend/.nvmrc says `20`"));
    assert_eq!(
        copies(&plan.stages[0]),
        [(Origin::Source, "backend/package.json backend/package-lock.json".to_owned())]
    );
    assert_eq!(copies(&plan.stages[1])[0], (Origin::Source, "backend".to_owned()));
    assert_eq!(workdir(&plan), "/app");
    assert_eq!(plan.service.command, ["node", "app.js"]);
    let found = Node::detect(&request, &NoConfig {}).unwrap().unwrap();
    assert_eq!((found.confidence, found.framework.as_deref()), (50, Some("express")));
}

#[test]
fn several_folders_with_packages_are_refused() {
    let request = Request::application("demo", [("api/package.json", APP), ("web/package.json", APP)]);
    let (place, why) = refusal(&request);
    assert_eq!(place, "package.json");
    assert!(why.contains("(api, web)") && why.contains("deploy one of these folders"), "{why}");
    assert_eq!(Node::detect(&request, &NoConfig {}), Ok(None));
    // A package within another one is not an application of its own.
    let nested = [("api/package.json", APP), ("api/test/package.json", "{}"), ("api/node_modules2/x.js", "")];
    assert!(is_noted(&plan(&Request::application("demo", nested)), "in `api`"));
    assert_eq!(refused_at(&Request::application("demo", [("my app/package.json", APP)])), "my app");
}

#[test]
fn the_only_package_of_a_workspace_with_a_start_script_is_the_application() {
    let files = [
        ("package.json", ROOT),
        ("package-lock.json", "{}"),
        ("apps/api/package.json", APP),
        ("libs/x/package.json", LIBRARY),
    ];
    let plan = plan(&Request::application("demo", files));
    assert_eq!(
        commands(&plan.stages[0]),
        ["npm ci --include=dev --no-audit --no-fund", "npm prune --omit=dev --ignore-scripts --no-audit --no-fund"]
    );
    assert_eq!(workdir(&plan), "/app/apps/api");
    assert!(is_noted(&plan, "of the packages of package.json:workspaces it alone has a `start` script"));
}

#[test]
fn the_package_of_a_workspace_is_built_with_what_it_depends_on() {
    let app = r#"{"scripts":{"start":"node dist/a.js","build":"tsc"},"dependencies":{"library":"workspace:*"}}"#;
    let of = |root: &str, lock: &str| {
        let files = [
            ("package.json", root),
            ("pnpm-workspace.yaml", "packages:\n  - apps/*\n  - libs/*\n"),
            (lock, ""),
            ("apps/web/package.json", app),
            ("libs/x/package.json", LIBRARY),
        ];
        commands(&plan(&Request::application("demo", files)).stages[0])
    };
    assert_eq!(
        of("{}", "pnpm-lock.yaml")[1..],
        [
            "pnpm install --frozen-lockfile --prod=false",
            "pnpm --filter {./apps/web}... run build",
            "find /app -name node_modules -type d -prune -exec rm -rf {} +",
            "pnpm install --frozen-lockfile --prod"
        ]
    );
    assert_eq!(of(r#"{"scripts":{"build":"turbo build"}}"#, "pnpm-lock.yaml")[2], "pnpm run build");
    assert_eq!(of(ROOT, "package-lock.json")[1], "npm run build --workspace apps/web");
    assert_eq!(of(ROOT, "yarn.lock")[2], "yarn --cwd ./apps/web run build");
    assert_eq!(of(ROOT, "bun.lock")[2], "bun run --cwd ./apps/web build");
}

#[test]
fn a_site_in_a_workspace_is_found_by_its_framework() {
    let web = r#"{"scripts":{"dev":"vite","build":"vite build"},"devDependencies":{"vite":"6"}}"#;
    let files = [
        ("package.json", ROOT),
        ("package-lock.json", "{}"),
        ("apps/web/package.json", web),
        ("libs/x/package.json", LIBRARY),
    ];
    let plan = plan(&Request::application("demo", files));
    assert!(copies(&plan.stages[1]).contains(&(Origin::Stage("build".into()), "/app/apps/web/dist".to_owned())));
}

#[test]
fn several_applications_of_a_workspace_are_refused_unless_something_decides() {
    let next = r#"{"scripts":{"start":"next start","build":"next build"},"dependencies":{"next":"15"}}"#;
    let files = |root: &'static str| {
        [
            ("package.json", root),
            ("package-lock.json", "{}"),
            ("apps/api/package.json", APP),
            ("apps/web/package.json", next),
        ]
    };
    let mut request = Request::application("demo", files(ROOT));
    let (place, why) = refusal(&request);
    assert_eq!(place, "package.json:workspaces");
    assert!(why.contains("(apps/api, apps/web)") && why.contains("add a `start` script"), "{why}");
    assert_eq!(Node::detect(&request, &NoConfig {}).unwrap().unwrap().confidence, 95);

    request.framework = Some("next".into());
    let chosen = plan(&request);
    assert_eq!(workdir(&chosen), "/app/apps/web");
    assert!(chosen.service.writable.iter().any(|folder| folder.path == "/app/apps/web/.next/cache"));

    let root = r#"{"workspaces":{"packages":["apps/*"]},"scripts":{"start":"npm start --workspace apps/api"}}"#;
    let chosen = plan(&Request::application("demo", files(root)));
    assert_eq!(workdir(&chosen), "/app");
    assert_eq!(chosen.service.command, ["npm", "start"]);
}

#[test]
fn a_package_that_cannot_be_read_is_named() {
    let files = [("package.json", ROOT), ("apps/api/package.json", r#"{"scripts":{"start":1}}"#)];
    assert_eq!(refused_at(&Request::application("demo", files)), "apps/api/package.json:scripts.start");
}
