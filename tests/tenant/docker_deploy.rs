//! Applications of one's own: deployed from a folder, changed, compared and rolled back.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Options, Server, base_image};

fn inspect(container: &str) -> Value {
    let output = Command::new("docker").args(["inspect", container]).output().expect("docker can be run");
    serde_json::from_slice::<Value>(&output.stdout).expect("docker prints JSON")[0].clone()
}

/// A folder with an application that can be changed.
struct Folder(TempDir);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = Self(TempDir::new().unwrap());
        fs::create_dir(folder.0.path().join(name)).unwrap();
        folder
    }

    /// A Node application without dependencies whose server is this.
    fn node(name: &str, server: &str) -> Self {
        let folder = Self::new(name);
        folder.write("package.json", r#"{"scripts":{"start":"node server.js"}}"#);
        folder.write("server.js", server);
        folder
    }

    fn path(&self) -> PathBuf {
        fs::read_dir(self.0.path()).unwrap().next().unwrap().unwrap().path()
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path().join(path), text).unwrap();
    }
}

fn says(text: &str) -> String {
    format!("require('http').createServer((_, r) => r.end({text:?} + process.env.COLOUR)).listen(process.env.PORT)")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

impl Server {
    fn deploy_folder(&self, folder: &Path, more: &[&str]) -> Output {
        self.cli(&[&["deploy", folder.to_str().unwrap(), "--json"], more].concat())
    }

    /// Deploys a folder and answers what the command prints.
    fn deployed(&self, folder: &Path, more: &[&str]) -> Value {
        let output = self.deploy_folder(folder, more);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("a document")
    }

    async fn home(&self, deployed: &Value) -> String {
        self.ask(deployed, "/").await.text
    }
}

#[tokio::test]
async fn a_folder_is_deployed_changed_compared_and_rolled_back() {
    let server = Server::start().await;
    let folder = Folder::node("shop", &says("one "));
    let first = server.deployed(&folder.path(), &[]);
    assert_eq!(
        (&first["name"], &first["revision"], server.home(&first).await.as_str()),
        (&json!("shop"), &json!(1), "one undefined")
    );
    assert!(first["apiKey"].is_string() && first["url"].as_str().unwrap().ends_with(&first["port"].to_string()));
    let container = server.container(&first);
    let before = inspect(&container);

    folder.write("server.js", &says("two "));
    folder.write("notes.txt", "a new file");
    let second =
        server.deployed(&folder.path(), &["-e", "COLOUR=blue", "--memory-mb", "300", "--reason", "a new look"]);
    assert_eq!((&second["envId"], &second["port"], &second["revision"]), (&first["envId"], &first["port"], &json!(2)));
    assert!(second.get("apiKey").is_none(), "the key is shown once");
    assert_eq!(server.home(&second).await, "two blue");

    let diff = server.cli(&["diff", "shop"]);
    let diff = String::from_utf8(diff.stdout).unwrap();
    for line in ["limits.memoryMb: 512 -> 300", "env.COLOUR: (a value) (new)", "+ notes.txt", "~ server.js"] {
        assert!(diff.contains(line), "{line}: {diff}");
    }
    assert!(!diff.contains("blue"), "values of variables are nobody's business: {diff}");

    let rolled = server.cli(&["rollback", "shop", "--yes", "--json"]);
    assert!(rolled.status.success(), "{rolled:?}");
    assert_eq!(server.home(&first).await, "one undefined");
    let restored = inspect(&container);
    for field in ["/Image", "/HostConfig", "/Config/Env", "/Config/Cmd", "/Config/User", "/Config/WorkingDir"] {
        assert_eq!(restored.pointer(field), before.pointer(field), "{field}");
    }
    let listed = server.cli(&["deployments", "shop"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    let rows: Vec<Vec<&str>> = listed.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..4], ["3", "running", "revision", "1"], "{listed}");
    assert_eq!(rows[1][..3], ["2", "ready", "archive"], "{listed}");
    assert!(rows[1].ends_with(&["a", "new", "look"]), "{listed}");

    // The same again: nothing travels and nothing is built.
    let again = server.cli(&["deploy", folder.path().to_str().unwrap()]);
    assert!(again.status.success() && stderr(&again).contains("the server has this source already"), "{again:?}");
    assert_eq!(
        server.home(&first).await,
        "two undefined",
        "the variables are those of the revision it was rolled back to"
    );
    server.destroy(&first).await;
}

#[tokio::test]
async fn what_does_not_come_up_is_told_by_name_and_what_served_goes_on_serving() {
    let server = Server::with(Options::default().and("[tenants]\nready-seconds = 5")).await;
    let folder = Folder::node("app", &says("good "));
    let deployed = server.deployed(&folder.path(), &[]);
    let started = inspect(&server.container(&deployed))["State"]["StartedAt"].clone();
    let listen = |how: &str| format!("require('http').createServer((_, r) => r.end('x')).listen({how})");
    for (app, code, told) in [
        (listen("process.env.PORT, '127.0.0.1'"), "app-not-ready", "instead of localhost"),
        (listen("8080"), "app-not-ready", "instead of port 3000"),
        ("setInterval(() => {}, 1000)".to_owned(), "app-not-ready", "listens on no port"),
        (says("broken ").replace("r.end(", "r.writeHead(500).end("), "app-not-ready", "GET / answered 500"),
        (
            "console.error('DATABASE_URL is missing'); process.exit(3)".to_owned(),
            "app-exited",
            "DATABASE_URL is missing",
        ),
        ("const all = []; for (;;) all.push(Buffer.alloc(1 << 24, 1))".to_owned(), "app-exited", "memoryMb"),
    ] {
        folder.write("server.js", &app);
        let failed = server.cli(&["deploy", folder.path().to_str().unwrap()]);
        let text = stderr(&failed);
        assert_eq!(failed.status.code(), Some(1), "{app}: {failed:?}");
        assert!(text.contains(told) && text.contains(code) && text.contains("step trial"), "{app}: {text}");
        assert_eq!(server.home(&deployed).await, "good undefined", "{app}");
    }
    assert_eq!(inspect(&server.container(&deployed))["State"]["StartedAt"], started, "it was never touched");
    folder.write("server.js", &says("better "));
    assert_eq!(server.deployed(&folder.path(), &[])["revision"], 8);
    assert_eq!(server.home(&deployed).await, "better undefined");
    server.destroy(&deployed).await;
}

#[tokio::test]
async fn what_cannot_be_deployed_is_refused_before_anything_is_built() {
    let server = Server::start().await;
    let refused = |folder: &Folder, more: &[&str], code: i32, told: &str| {
        let output = server.cli(&[&["deploy", folder.path().to_str().unwrap()], more].concat());
        assert_eq!(output.status.code(), Some(code), "{told}: {output:?}");
        assert!(stderr(&output).contains(told), "{told}: {}", stderr(&output));
    };
    let nothing = Folder::new("nothing");
    refused(&nothing, &[], 2, "no files");
    nothing.write("README", "x");
    refused(&nothing, &[], 4, "no template recognizes the application");
    symlink("/etc/passwd", nothing.path().join("link")).unwrap();
    refused(&nothing, &[], 2, "which is not relative to the link");
    let both = Folder::node("both", "x");
    both.write("go.mod", "module both\n");
    both.write("main.go", "package main\nfunc main() {}\n");
    refused(&both, &[], 4, "name the one to build with `language`");
    let version = Folder::node("version", "x");
    version.write(".nvmrc", "99");
    refused(&version, &[], 4, "99");
    version.write("convergence.toml", "langauge = \"node\"\n");
    refused(&version, &[], 4, "convergence.toml:1");
    let digits = Folder::node("1234", "x");
    refused(&digits, &[], 2, "--name");

    let good = Folder::node("good", &says("x"));
    let planned = server.cli(&["deploy", good.path().to_str().unwrap(), "--plan"]);
    let planned = String::from_utf8(planned.stdout).unwrap();
    assert!(planned.contains("Recognized as `node`") && planned.contains(".convergence/source"), "{planned}");
    assert_eq!(server.http.get("/api/v1/tenant").await.expect(200)["tenants"], json!([]));

    // A tenant of that name that is somebody else's is not overwritten.
    let other = server.deployed(&good.path(), &[]);
    fs::remove_dir_all(good.path().join(".convergence")).unwrap();
    refused(&good, &[], 2, "--name 'good'");
    assert_eq!(server.deployed(&good.path(), &["--name", "good"])["revision"], 2);
    server.destroy(&other).await;
}

#[tokio::test]
async fn archives_come_over_the_api_as_other_tools_make_them() {
    let server = Server::start().await;
    let folder = Folder::node("app", &says("by hand "));
    let archive = folder.0.path().join("app.tar.gz");
    let (archive_path, parent) = (archive.to_str().unwrap(), folder.0.path().to_str().unwrap());
    let packed = Command::new("tar").args(["czf", archive_path, "-C", parent, "app"]).status();
    assert!(packed.unwrap().success());
    let upload = |content_type: &str, bytes: Vec<u8>| {
        let request = server.http.request(reqwest::Method::POST, "/api/v1/sources");
        server.http.send(request.header("content-type", content_type).body(bytes))
    };
    let bytes = fs::read(&archive).unwrap();
    let uploaded = upload("application/gzip", bytes.clone()).await.expect(201);
    assert!(uploaded["notes"][0].as_str().unwrap().contains("`app`"), "{uploaded}");
    let digest = uploaded["source"]["digest"].clone();
    assert_eq!(upload("application/gzip", bytes.clone()).await.expect(201)["source"], uploaded["source"]);
    let shown = server.http.get(&format!("/api/v1/sources/{}", digest.as_str().unwrap())).await.expect(200);
    assert_eq!(shown, uploaded["source"]);
    assert_eq!(
        upload("application/gzip", bytes[..bytes.len() / 2].to_vec()).await.expect(422)["code"],
        "archive-refused"
    );
    assert_eq!(upload("text/plain", bytes).await.expect(415)["code"], "not-an-archive");

    let spawned = server.spawn(json!({ "name": "app", "source": { "archive": digest } })).await;
    assert_eq!(server.home(&spawned).await, "by hand undefined");
    let path = format!("/api/v1/tenant/{}/deployments", spawned["envId"]);
    let body = json!({ "env": { "COLOUR": "red" }, "reason": "colour" });
    let keyed = || {
        let request = server.http.request(reqwest::Method::POST, &path).header("idempotency-key", "once");
        server.http.send(request.json(&body))
    };
    let deployed = keyed().await.expect(201);
    assert_eq!((&deployed["deployment"]["revision"], &deployed["deployment"]["current"]), (&json!(2), &json!(true)));
    assert_eq!(server.home(&spawned).await, "by hand red");
    assert_eq!(keyed().await.expect(201)["deployment"]["revision"], 2, "sent again it deploys nothing");
    let absent = json!({ "source": { "archive": format!("sha256:{}", "0".repeat(64)) } });
    assert_eq!(server.http.post(&path, &absent).await.violations(422), ["source.archive"]);
    assert_eq!(server.http.get(&format!("{path}/3")).await.expect(404)["code"], "not-found");
    let page = server.http.get(&format!("{path}?limit=1")).await.expect(200);
    let next = server.http.get(&format!("{path}?cursor={}", page["nextCursor"].as_str().unwrap())).await.expect(200);
    assert_eq!((&page["deployments"][0]["revision"], &next["deployments"][0]["revision"]), (&json!(2), &json!(1)));
    server.destroy(&spawned).await;
}

/// An image that somebody built elsewhere: a base image of this site with a server in it, on a port of its own.
struct Elsewhere(String);

impl Elsewhere {
    fn new(name: &str) -> Self {
        let (image, making) = (format!("localhost/convergence-test/{name}:1"), format!("convergence-test-{name}"));
        let folder = TempDir::new().unwrap();
        let server = folder.path().join("server.py");
        let text = "import http.server\nhttp.server.HTTPServer(('', 9191), http.server.SimpleHTTPRequestHandler).serve_forever()\n";
        fs::write(&server, text).unwrap();
        docker(&["create", "--name", &making, &base_image(), "true"]);
        docker(&["cp", server.to_str().unwrap(), &format!("{making}:/server.py")]);
        let changes = ["ENTRYPOINT [\"python3\"]", "CMD [\"/server.py\"]", "EXPOSE 9191", "WORKDIR /etc"];
        let changes = changes.map(|change| ["--change", change]).concat();
        docker(&[&["commit"][..], &changes, &[&making, &image]].concat());
        docker(&["rm", &making]);
        Self(image)
    }

    /// Moves the tag to another image. The one that had it has the answered name from then on.
    fn moves(&self) -> Self {
        let (before, making) = (format!("{}-before", self.0), "convergence-test-moves");
        docker(&["tag", &self.0, &before]);
        docker(&["create", "--name", making, &self.0]);
        docker(&["commit", "--change", "ENV MOVED=yes", making, &self.0]);
        docker(&["rm", making]);
        Self(before)
    }
}

fn docker(arguments: &[&str]) {
    let output = Command::new("docker").args(arguments).output().expect("docker can be run");
    assert!(output.status.success(), "{output:?}");
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        Command::new("docker").args(["rmi", "--force", &self.0]).output().ok();
    }
}

#[tokio::test]
async fn an_image_is_run_as_it_says_itself_within_the_same_walls() {
    let elsewhere = Elsewhere::new("elsewhere");
    let server =
        Server::with(Options::default().and("[build]\nallow-images = [\"localhost/convergence-test/*\"]")).await;
    let refused = server.cli(&["deploy", "--image", "acme/other:1"]);
    assert!(!refused.status.success() && stderr(&refused).contains("source.image"), "{refused:?}");

    let output = server.cli(&["deploy", "--image", &elsewhere.0, "--name", "elsewhere", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let deployed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let files = server.ask(&deployed, "/").await;
    assert!(files.status == 200 && files.text.contains("passwd"), "{files:?}");
    let seen = inspect(&server.container(&deployed));
    assert_eq!(seen["Config"]["Cmd"], json!(["python3", "/server.py"]));
    assert_eq!((&seen["Config"]["User"], &seen["HostConfig"]["ReadonlyRootfs"]), (&json!("10001:10001"), &json!(true)));

    // The tag moves. Other variables are for the very image that was deployed.
    let _before = elsewhere.moves();
    let path = format!("/api/v1/tenant/{}/deployments", deployed["envId"]);
    server.http.post(&path, &json!({ "env": { "A": "b" } })).await.expect(201);
    let changed = inspect(&server.container(&deployed));
    let has = |seen: &Value, variable: &str| seen["Config"]["Env"].as_array().unwrap().contains(&json!(variable));
    assert_eq!((&changed["Image"], has(&changed, "A=b")), (&seen["Image"], true));

    // Named again it is another image, which is the next revision; the one before is restored with its digest.
    let next = server.cli(&["deploy", "--image", &elsewhere.0, "--name", "elsewhere", "--port", "9191"]);
    assert!(next.status.success(), "{next:?}");
    let moved = inspect(&server.container(&deployed));
    assert!(moved["Image"] != seen["Image"] && has(&moved, "MOVED=yes"), "{moved}");
    let shown: Value = serde_json::from_slice(&server.cli(&["deployments", "elsewhere", "--json"]).stdout).unwrap();
    assert_eq!(shown["deployments"][0]["sourceImage"], json!(elsewhere.0), "{shown}");
    let rolled = server.cli(&["rollback", "elsewhere", "--yes"]);
    assert!(rolled.status.success(), "{rolled:?}");
    assert_eq!(inspect(&server.container(&deployed))["Image"], seen["Image"]);
    server.destroy(&deployed).await;
}

#[tokio::test]
async fn a_commit_of_a_repository_is_deployed_and_the_next_one() {
    let package = ("package.json", r#"{"scripts":{"start":"node server.js"}}"#);
    let host = convergence_test_git::Server::start();
    let (repository, url) =
        (host.repository("app", &[package, ("server.js", &says("one "))]), host.url("repos", "app"));
    let tables = format!("[sources]\ngit-hosts = [{:?}]\ngit-networks = [\"127.0.0.0/8\"]", host.host());
    let server = Server::with(Options::default().and(&tables)).await;
    let deploy =
        |more: &[&str]| server.cli(&[&["deploy", "--git", &url, "--name", "from-git", "--json"], more].concat());

    let absent = deploy(&["--ref", "nowhere"]);
    let told: Value = serde_json::from_slice(&absent.stdout).unwrap();
    assert!(!absent.status.success() && told["violations"][0]["path"] == "source.git.ref", "{told}");
    let elsewhere = server.cli(&["deploy", "--git", "https://git.example.com/o/n"]);
    assert!(!elsewhere.status.success() && stderr(&elsewhere).contains("git-hosts"), "{elsewhere:?}");

    let first = deploy(&[]);
    assert!(first.status.success(), "{first:?}");
    let first: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!(server.home(&first).await, "one undefined");

    let commit = repository.commit(&[("server.js", &says("two ")), ("notes.txt", "new")]);
    let second = deploy(&["--ref", "main"]);
    assert!(second.status.success(), "{second:?}");
    assert_eq!(server.home(&first).await, "two undefined");
    let shown: Value = serde_json::from_slice(&server.cli(&["deployments", "from-git", "--json"]).stdout).unwrap();
    let git = &shown["deployments"][0]["git"];
    assert_eq!((&git["commit"], &git["ref"], &git["url"]), (&json!(commit), &json!("main"), &json!(url)));
    let diff = String::from_utf8(server.cli(&["diff", "from-git"]).stdout).unwrap();
    assert!(diff.contains(&commit) && diff.contains("+ notes.txt") && diff.contains("~ server.js"), "{diff}");

    // Other variables of the same commit: nothing is fetched, also where there is nothing to fetch from any more.
    drop(repository);
    let body = json!({ "env": { "COLOUR": "blue" } });
    let path = format!("/api/v1/tenant/{}/deployments", first["envId"]);
    server.http.post(&path, &body).await.expect(201);
    assert_eq!(server.home(&first).await, "two blue");
    assert!(server.cli(&["rollback", "from-git", "1", "--yes"]).status.success());
    assert_eq!(server.home(&first).await, "one undefined");
    server.destroy(&first).await;
}

/// The archive must not choose what is built: its folder `.convergence` is none of the build's, and what
/// `.dockerignore` excludes is not in the image.
#[tokio::test]
async fn an_own_dockerfile_is_the_one_that_was_checked_and_its_context_is_the_application() {
    let server = Server::with(Options::default().and("[build]\nown-dockerfile = true")).await;
    let dockerfile = "FROM python:3.12-slim-bookworm\nWORKDIR /srv\nCOPY . .\nCMD [\"python3\", \"-m\", \"http.server\", \"8080\"]\n";
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in [
        ("Dockerfile", dockerfile),
        (".dockerignore", "secret.txt\n"),
        ("page.txt", "a page"),
        ("secret.txt", "a secret"),
        (".convergence/Dockerfile", "FROM acme/evil:1\n"),
        (".convergence/Dockerfile.dockerignore", "page.txt\n"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    let request =
        server.http.request(reqwest::Method::POST, "/api/v1/sources").header("content-type", "application/x-tar");
    let uploaded = server.http.send(request.body(tar.into_inner().unwrap())).await.expect(201);
    let source = json!({ "archive": uploaded["source"]["digest"] });
    let spawned = server.spawn(json!({ "name": "own", "source": source })).await;
    assert_eq!(server.ask(&spawned, "/page.txt").await.text, "a page");
    for absent in ["/secret.txt", "/.convergence/Dockerfile.dockerignore"] {
        assert_eq!(server.ask(&spawned, absent).await.status, 404, "{absent}");
    }
    let copied = server.ask(&spawned, "/.convergence/Dockerfile").await;
    assert!(copied.text.contains("COPY . .") && !copied.text.contains("evil"), "{}", copied.text);
    let shown = server.http.get(&format!("/api/v1/tenant/{}/dockerfile", spawned["envId"])).await;
    assert!(shown.text.contains("COPY . .") && !shown.text.contains("evil"), "{}", shown.text);
    server.destroy(&spawned).await;
}
