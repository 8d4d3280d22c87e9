//! Fetching from a real server of repositories on this machine.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod wall;

use std::time::Duration;

use bytes::Bytes;
use convergence_model::Secret;
use convergence_test_git::Server;
use futures_util::stream;
use tempfile::TempDir;

use super::{Fetched, GitAddress, GitError, GitSettings};
use crate::{SourceError, SourceLimits, Sources};

fn sources(limits: SourceLimits) -> (TempDir, Sources) {
    let folder = TempDir::new().unwrap();
    let sources = Sources::open(folder.path().join("sources"), SourceLimits { reserve: 0, ..limits }).unwrap();
    (folder, sources)
}

/// Allows the server of the test.
fn settings(server: &Server) -> GitSettings {
    GitSettings {
        hosts: vec![server.host().parse().unwrap()],
        networks: vec!["127.0.0.0/8".parse().unwrap()],
        patience: Duration::from_secs(60),
        ..GitSettings::default()
    }
}

async fn fetch(sources: &Sources, server: &Server, url: &str, reference: Option<&str>) -> Result<Fetched, GitError> {
    let address = GitAddress::parse(url, reference).unwrap();
    sources.fetch(&address, None, &settings(server)).await
}

/// Why a repository is refused, of which nothing is left.
async fn refusal(server: &Server, url: &str, reference: Option<&str>) -> GitError {
    let (_folder, sources) = sources(SourceLimits::default());
    let refused = fetch(&sources, server, url, reference).await.unwrap_err();
    assert_nothing_is_left(&sources);
    refused
}

fn assert_nothing_is_left(sources: &Sources) {
    let left: Vec<_> = std::fs::read_dir(sources.incoming()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(std::fs::read_dir(sources.folder()).unwrap().count(), 1, "nothing is kept");
}

/// Uploads an archive of these files.
async fn upload(sources: &Sources, files: &[(&str, &str)]) -> crate::Received {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    let archive = Bytes::from(tar.into_inner().unwrap());
    sources.receive(stream::iter([Ok::<_, std::convert::Infallible>(archive)]), None).await.unwrap()
}

#[tokio::test]
async fn a_branch_a_tag_a_hash_and_the_default_branch_are_the_commit_they_name_and_the_same_source_as_an_archive() {
    let server = Server::start();
    let old = [("package.json", "{}"), ("src/[slug].js", "old")];
    let repository = server.repository("app", &old);
    let before = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["tag", "--annotate", "--message=x", "v1"]);
    repository.git(&["tag", "plain"]);
    let new = [("package.json", "{}"), ("src/[slug].js", "new")];
    let after = repository.commit(&new);
    repository.git(&["branch", "feature/x+y"]);

    let (_folder, sources) = sources(SourceLimits::default());
    let url = server.url("repos", "app");
    let (first, second) = (upload(&sources, &old).await, upload(&sources, &new).await);
    assert_ne!(first.digest, second.digest);
    for (reference, commit, uploaded) in [
        (None, &after, &second),
        (Some("main"), &after, &second),
        (Some("refs/heads/main"), &after, &second),
        (Some("feature/x+y"), &after, &second),
        (Some("HEAD"), &after, &second),
        (Some("v1"), &before, &first),
        (Some("plain"), &before, &first),
        (Some("refs/tags/v1"), &before, &first),
        (Some(before.as_str()), &before, &first),
    ] {
        let fetched = fetch(&sources, &server, &url, reference).await.unwrap();
        assert_eq!(fetched.commit, *commit, "{reference:?}");
        assert_eq!(fetched.received.digest, uploaded.digest, "{reference:?}");
        assert!(fetched.received.known && fetched.received.notes.is_empty(), "{:?}", fetched.received);
    }
    let kept = sources.get(&first.digest).await.unwrap().unwrap();
    assert_eq!(kept.text("src/[slug].js").unwrap().as_deref(), Some("old"));
    assert_eq!(std::fs::read_dir(sources.incoming()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_repository_of_the_longer_hash_is_fetched_too() {
    let server = Server::start();
    let repository = server.repository_of("sha256", "app", &[("a", "1"), ("b", "2")]);
    let commit = repository.git(&["rev-parse", "HEAD"]);
    let (_folder, sources) = sources(SourceLimits::default());
    for reference in [None, Some(commit.as_str())] {
        let fetched = fetch(&sources, &server, &server.url("repos", "app"), reference).await.unwrap();
        assert_eq!(fetched.commit, commit);
        assert_eq!((fetched.commit.len(), fetched.received.files), (64, 2));
    }
}

#[tokio::test]
async fn no_attribute_of_the_repository_changes_a_file_or_hides_one() {
    let server = Server::start();
    let plain = [
        ("hidden.txt", "1\n"),
        ("folder/hidden.txt", "2\n"),
        ("macro.txt", "3\n"),
        ("version.txt", "$Format:%H$\n"),
        ("id.txt", "$Id$\n"),
        ("lines.txt", "a\nb\n"),
        ("wide.txt", "wide\n"),
        ("filtered.txt", "filtered\n"),
    ];
    let repository = server.repository("app", &plain);
    let attributes = "[attr]hide export-ignore\n\
         hidden.txt export-ignore\nfolder export-ignore\nmacro.txt hide\nversion.txt export-subst\nid.txt ident\n\
         lines.txt text eol=crlf\nwide.txt text working-tree-encoding=UTF-16\nfiltered.txt filter=x\n";
    // On its own: what git adds is changed by the attributes that are there.
    let blob = repository.git_with(&["hash-object", "-w", "--stdin"], attributes);
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},.gitattributes")]);
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},folder/.gitattributes")]);
    repository.commit_index();

    let (_folder, sources) = sources(SourceLimits::default());
    let fetched = fetch(&sources, &server, &server.url("repos", "app"), None).await.unwrap();
    let kept = sources.get(&fetched.received.digest).await.unwrap().unwrap();
    for (path, text) in plain {
        assert_eq!(kept.text(path).unwrap().as_deref(), Some(text), "{path}");
    }
    let files: Vec<_> =
        plain.into_iter().chain([(".gitattributes", attributes), ("folder/.gitattributes", attributes)]).collect();
    assert_eq!(upload(&sources, &files).await.digest, fetched.received.digest);
}

#[tokio::test]
async fn submodules_are_refused_by_name() {
    let server = Server::start();
    let repository = server.repository("app", &[("a", "1")]);
    let commit = repository.git(&["rev-parse", "HEAD"]);
    for n in 0..7 {
        repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},lib/sub{n}")]);
    }
    repository.commit_index();
    let refused = refusal(&server, &server.url("repos", "app"), None).await;
    assert!(matches!(&refused, GitError::Submodules { more: 2, .. }), "{refused:?}");
    assert!(refused.to_string().contains("\"lib/sub0\""), "{refused}");
}

#[tokio::test]
async fn files_in_lfs_are_refused_by_name_and_a_text_about_them_is_not() {
    let server = Server::start();
    let hash = "0".repeat(64);
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{hash}\nsize 123456\n");
    let files = [("big/model.bin", pointer.as_str()), ("other.bin", pointer.as_str()), ("a.txt", "a")];
    let repository = server.repository("app", &files);
    let (_folder, sources) = sources(SourceLimits::default());
    assert_eq!(fetch(&sources, &server, &server.url("repos", "app"), None).await.unwrap().received.files, 3);
    repository.commit(&[("big/.gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")]);
    let refused = refusal(&server, &server.url("repos", "app"), None).await;
    assert!(matches!(&refused, GitError::Lfs { more: 0, .. }), "{refused:?}");
    assert!(refused.to_string().contains("\"big/model.bin\""), "{refused}");
}

#[tokio::test]
async fn what_is_not_there_is_told_apart() {
    let server = Server::start();
    let repository = server.repository("app", &[("a", "1")]);
    let short = repository.git(&["rev-parse", "--short=10", "HEAD"]);
    let blob = repository.git(&["rev-parse", "HEAD:a"]);
    repository.git(&["tag", "file", &blob]);
    let url = server.url("repos", "app");
    let absent = |reference: String| {
        let (server, url) = (&server, &url);
        async move {
            let refused = refusal(server, url, Some(&reference)).await;
            assert!(matches!(&refused, GitError::ReferenceAbsent { .. }), "{refused:?}");
            assert!(refused.to_string().contains(&reference), "{refused}");
            refused.to_string()
        }
    };
    absent("nothing".to_owned()).await;
    assert!(absent(short).await.contains("full hash"));
    assert!(absent("0123456789".repeat(4)).await.contains("gives out no such commit"));
    let refused = refusal(&server, &url, Some("file")).await;
    assert!(matches!(&refused, GitError::NotACommit { .. }), "{refused:?}");

    let empty = server.repository("empty", &[]);
    empty.git(&["update-ref", "-d", "HEAD"]);
    let refused = refusal(&server, &server.url("repos", "empty"), None).await;
    assert!(matches!(&refused, GitError::ReferenceAbsent { reference: None, .. }), "{refused:?}");
    for (way, name) in [("repos", "absent"), ("locked", "app"), ("forbidden", "app")] {
        let refused = refusal(&server, &server.url(way, name), None).await;
        assert!(matches!(&refused, GitError::NotFound { signed_in: false, .. }), "{way}: {refused:?}");
    }
    let refused = refusal(&server, &server.url("broken", "app"), None).await;
    assert!(matches!(&refused, GitError::Failed(said) if !said.is_empty()), "{refused:?}");
}

#[tokio::test]
async fn what_no_archive_may_have_no_repository_may_have() {
    let server = Server::start();
    let repository = server.repository("link", &[("a", "1")]);
    repository.link("out", "/etc/passwd");
    repository.commit(&[]);
    let refused = refusal(&server, &server.url("repos", "link"), None).await;
    assert!(matches!(&refused, GitError::Source(SourceError::Refused(_))), "{refused:?}");
    server.repository("case", &[("README", "1"), ("readme", "1")]);
    let refused = refusal(&server, &server.url("repos", "case"), None).await;
    assert!(refused.to_string().contains("case"), "{refused}");
    // A tree that git itself refuses to check out.
    let repository = server.repository("dot", &[("a", "1")]);
    let blob = repository.git(&["rev-parse", "HEAD:a"]);
    let tree = repository.git_with(&["mktree"], &format!("100644 blob {blob}\t.git\n100644 blob {blob}\ta\n"));
    let commit = repository.git(&["commit-tree", "-m", "x", &tree]);
    repository.git(&["update-ref", "refs/heads/main", &commit]);
    let refused = refusal(&server, &server.url("repos", "dot"), None).await;
    assert!(matches!(&refused, GitError::Failed(said) if said.contains("hasDotgit")), "{refused:?}");
}

#[tokio::test]
async fn a_token_is_sent_to_the_host_and_shown_nowhere() {
    let server = Server::start();
    server.repository("app", &[("a", "1")]);
    let (_folder, sources) = sources(SourceLimits::default());
    let address = GitAddress::parse(&server.url("locked", "app"), None).unwrap();
    let with = |token: &'static str| {
        let (sources, address, settings) = (&sources, &address, settings(&server));
        async move { sources.fetch(address, Some(&Secret::new(token)), &settings).await }
    };
    assert_eq!(with("token").await.unwrap().received.files, 1);
    assert!(server.heads().iter().all(|head| head.contains("Authorization: Basic ")), "{:?}", server.heads());
    let refused = with("wr0ngtoken").await.unwrap_err();
    assert!(matches!(&refused, GitError::NotFound { signed_in: true, .. }), "{refused:?}");
    let encoded = data_encoding::BASE64.encode(b"x-access-token:wr0ngtoken");
    for secret in ["wr0ngtoken", &encoded] {
        assert!(!format!("{refused} {refused:?}").contains(secret), "{refused:?}");
    }
}

#[tokio::test]
async fn a_folder_that_everything_is_in_is_the_root_and_told_of() {
    let server = Server::start();
    server.repository("app", &[("inner/go.mod", "module app\n"), ("inner/main.go", "package main\n")]);
    let (_folder, sources) = sources(SourceLimits::default());
    let fetched = fetch(&sources, &server, &server.url("repos", "app"), None).await.unwrap();
    assert!(matches!(fetched.received.notes.as_slice(), [note] if note.contains("`inner`")), "{:?}", fetched.received);
}
