//! What git cannot do, and what is left of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::*;

/// A program that is run in place of git: a shell script, in which `$git` is the real one.
fn script(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("git-of-the-test");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Waits until something is so, for as long as a slow machine may take.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn only_hosts_that_are_allowed_are_asked_and_only_at_public_addresses() {
    let server = Server::start();
    server.repository("app", &[("a", "1")]);
    let (_folder, sources) = sources(SourceLimits::default());
    let port = server.port();
    let try_with = |url: String, settings: GitSettings| {
        let sources = &sources;
        async move { sources.fetch(&GitAddress::parse(&url, None).unwrap(), None, &settings).await.unwrap_err() }
    };
    for url in [
        format!("https://127.0.0.1:{port}/repos/app/.git"),
        "http://127.0.0.1/repos/app/.git".to_owned(),
        "https://evil.example/x".to_owned(),
    ] {
        let refused = try_with(url, settings(&server)).await;
        let told = refused.to_string();
        assert!(matches!(&refused, GitError::HostNotAllowed { .. }), "{refused:?}");
        assert!(told.contains(&format!("http://127.0.0.1:{port}")) && told.contains("git-hosts"), "{told}");
    }
    let refused = try_with(server.url("repos", "app"), GitSettings::default()).await.to_string();
    assert!(refused.contains("none is"), "{refused}");
    let with_tls = GitSettings { hosts: vec!["git.example".parse().unwrap()], ..GitSettings::default() };
    let refused = try_with("http://git.example/o/n".to_owned(), with_tls).await.to_string();
    assert!(refused.contains("write https://"), "{refused}");
    // A name that leads to this host, and the address itself.
    for host in ["127.0.0.1", "localhost"] {
        let host = format!("http://{host}:{port}");
        let hosts = vec![host.parse().unwrap()];
        let settings = GitSettings { hosts, networks: vec!["10.0.0.0/8".parse().unwrap()], ..settings(&server) };
        let refused = try_with(format!("{host}/repos/app/.git"), settings).await;
        assert!(matches!(&refused, GitError::AddressNotAllowed { .. }), "{refused:?}");
        assert!(refused.to_string().contains("this host") || refused.to_string().contains("::1"), "{refused}");
    }
    let hosts = vec!["git.invalid".parse().unwrap()];
    let refused = try_with("https://git.invalid/x".to_owned(), GitSettings { hosts, ..settings(&server) }).await;
    assert!(matches!(&refused, GitError::Unresolved { .. }), "{refused:?}");
    assert_eq!(server.connections(), 0, "nothing was connected to");
    assert_nothing_is_left(&sources);
}

#[tokio::test]
async fn git_connects_to_the_addresses_that_were_checked_whatever_the_name_leads_to() {
    let server = Server::start();
    server.repository("app", &[("a", "1")]);
    let (_folder, sources) = sources(SourceLimits::default());
    // A name that leads nowhere.
    let url = format!("http://git.invalid:{}/repos/app/.git", server.port());
    let address = GitAddress::parse(&url, None).unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    let turn = sources.turn().unwrap();
    let addresses = vec!["127.0.0.1".parse().unwrap()];
    sources.fetch_from(addresses, &address, None, &settings(&server), turn, end).await.unwrap();
    let host = format!("Host: git.invalid:{}", server.port());
    assert!(server.heads().iter().all(|head| head.contains(&host)), "{:?}", server.heads());
}

#[tokio::test]
async fn a_certificate_is_checked_against_the_name() {
    let (server, certificate) = Server::start_with_tls("git.invalid");
    let (other, _) = Server::start_with_tls("other.invalid");
    server.repository("app", &[("a", "1")]);
    other.repository("app", &[("a", "1")]);
    let (_folder, sources) = sources(SourceLimits::default());
    let fetch = |server: &Server, ca_bundle: Option<PathBuf>| {
        let url = format!("https://git.invalid:{}/repos/app/.git", server.port());
        let settings = GitSettings { ca_bundle, ..settings(server) };
        let sources = &sources;
        async move {
            let address = GitAddress::parse(&url, None).unwrap();
            let end = Instant::now() + Duration::from_secs(60);
            let (addresses, turn) = (vec!["127.0.0.1".parse().unwrap()], sources.turn().unwrap());
            sources.fetch_from(addresses, &address, None, &settings, turn, end).await
        }
    };
    for refused in [fetch(&server, None).await, fetch(&other, Some(certificate.clone())).await] {
        assert!(matches!(&refused, Err(GitError::Certificate { .. })), "{refused:?}");
    }
    assert_eq!(server.heads().len() + other.heads().len(), 0, "nothing was asked");
    assert_nothing_is_left(&sources);
    assert_eq!(fetch(&server, Some(certificate)).await.unwrap().received.files, 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::start();
    server.repository("app", &[("a", "1")]);
    let refused = refusal(&server, &server.url("redirect", "app"), None).await;
    assert!(matches!(&refused, GitError::Redirected { .. }), "{refused:?}");
    assert!(server.heads().iter().all(|head| !head.contains("/repos/")), "{:?}", server.heads());
}

#[tokio::test]
async fn a_server_that_is_absent_silent_or_slow_is_not_waited_for() {
    let server = Server::start();
    server.repository("app", &[("a", "1")]);
    let (_folder, sources) = sources(SourceLimits::default());
    let fetch = |way: &str, seconds: u64| {
        let address = GitAddress::parse(&server.url(way, "app"), None).unwrap();
        let settings = GitSettings { patience: Duration::from_secs(seconds), ..settings(&server) };
        let sources = &sources;
        async move { sources.fetch(&address, None, &settings).await.unwrap_err() }
    };
    // Git notices after a third of the time.
    let refused = fetch("silent", 9).await;
    assert!(matches!(&refused, GitError::NoAnswer { .. }), "{refused:?}");
    // This one sends something again and again, so only the clock ends it.
    let refused = fetch("slow", 2).await;
    assert!(matches!(&refused, GitError::TooSlow(_)), "{refused:?}");
    assert!(refused.to_string().contains("git-seconds"), "{refused}");
    assert_nothing_is_left(&sources);
    until("git is gone", || server.left() >= 2).await;

    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = format!("http://127.0.0.1:{gone}");
    let settings = GitSettings { hosts: vec![host.parse().unwrap()], ..settings(&server) };
    let address = GitAddress::parse(&format!("{host}/x"), None).unwrap();
    let refused = sources.fetch(&address, None, &settings).await.unwrap_err();
    assert!(matches!(&refused, GitError::NoAnswer { .. }), "{refused:?}");
}

/// Text that does not compress well.
fn noise(bytes: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b' ' + u8::try_from(state % 95).unwrap())
    };
    (0..bytes).map(|_| next()).collect()
}

#[tokio::test]
async fn a_repository_that_is_too_large_is_stopped_as_it_comes() {
    let server = Server::start();
    server.repository("large", &[("large", &noise(4 << 20))]);
    server.repository("many", &[("zeros", &"\0".repeat(4 << 20))]);
    let limits = SourceLimits { archive_bytes: 1 << 20, unpacked_bytes: 1 << 20, ..SourceLimits::default() };
    let (_folder, sources) = sources(limits);
    let refused = fetch(&sources, &server, &server.url("repos", "large"), None).await.unwrap_err();
    assert!(matches!(&refused, GitError::TooLarge(told) if told.contains("1 MiB")), "{refused:?}");
    // Little to fetch, and much that it unpacks to.
    let refused = fetch(&sources, &server, &server.url("repos", "many"), None).await.unwrap_err();
    assert!(matches!(&refused, GitError::Source(SourceError::TooLarge(_))), "{refused:?}");
    assert_nothing_is_left(&sources);
}

#[tokio::test]
async fn many_small_files_are_too_large_as_well_and_git_is_ended_with_all_that_it_started() {
    let server = Server::start();
    let (folder, sources) = sources(SourceLimits { archive_bytes: 1 << 20, ..SourceLimits::default() });
    // Never ends by itself, and is not the one that writes.
    let text = "case $1 in fetch) ;; *) exec git \"$@\";; esac\n\
        sh -c 'while :; do n=$((n+1)); head -c 10000 /dev/zero >\"$HOME/$n\"; done'";
    let settings = GitSettings { program: script(folder.path(), text), ..settings(&server) };
    let address = GitAddress::parse(&server.url("silent", "app"), None).unwrap();
    let refused = sources.fetch(&address, None, &settings).await.unwrap_err();
    assert!(matches!(&refused, GitError::TooLarge(told) if told.contains("1 MiB")), "{refused:?}");
    assert_nothing_is_left(&sources);
}

#[tokio::test]
async fn an_answer_without_end_fills_no_memory() {
    let server = Server::start();
    let refused = refusal(&server, &server.url("endless", "app"), None).await;
    assert!(matches!(&refused, GitError::TooLarge(told) if told.contains("memory")), "{refused:?}");
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_is_left_alone() {
    let server = Server::start();
    server.repository("app", &[("a", "1")]);
    let folder = TempDir::new().unwrap();
    let limits = SourceLimits { reserve: u64::MAX, ..SourceLimits::default() };
    let sources = Sources::open(folder.path().join("sources"), limits).unwrap();
    let refused = fetch(&sources, &server, &server.url("silent", "app"), None).await.unwrap_err();
    assert!(matches!(&refused, GitError::Source(SourceError::Full(_))), "{refused:?}");
    assert_nothing_is_left(&sources);
}

#[tokio::test]
async fn a_fetch_that_nobody_waits_for_ends_leaves_nothing_and_makes_room_for_the_next() {
    let server = Server::start();
    server.repository("app", &[("a", "1")]);
    let (_folder, sources) = sources(SourceLimits { at_once: 1, ..SourceLimits::default() });
    let silent = server.url("silent", "app");
    let mut first = Box::pin(fetch(&sources, &server, &silent, None));
    let asked = until("git asks", || !server.heads().is_empty());
    tokio::select! {
        ended = &mut first => panic!("{ended:?}"),
        () = asked => {}
    }
    let (left, _) = (server.left(), assert!(sources.incoming().read_dir().unwrap().count() > 0));
    let busy = fetch(&sources, &server, &server.url("repos", "app"), None).await;
    assert!(matches!(&busy, Err(GitError::Source(SourceError::Busy { at_once: 1, .. }))), "{busy:?}");
    drop(first);
    // Git's own child, which holds the connection, is gone.
    until("the connection is closed", || server.left() > left).await;
    until("the folder is removed", || sources.incoming().read_dir().unwrap().count() == 0).await;
    until("its turn is free", || sources.turn().is_ok()).await;
    assert!(fetch(&sources, &server, &server.url("repos", "app"), None).await.is_ok());
}

#[tokio::test]
async fn git_has_an_environment_of_its_own_and_bounds() {
    let server = Server::start();
    server.repository("app", &[("a", "1")]);
    let (folder, sources) = sources(SourceLimits::default());
    let seen = folder.path().join("seen");
    let text = format!(
        "{{ echo \"args $*\"; env | sed 's/^/env /'; for of in c v t f; do echo \"bound $of $(ulimit -$of)\"; done; \
         echo \"input $(cat)\"; }} >>{}\nexec git \"$@\"",
        seen.display()
    );
    let settings = GitSettings { program: script(folder.path(), &text), ..settings(&server) };
    let address = GitAddress::parse(&server.url("locked", "app"), None).unwrap();
    sources.fetch(&address, Some(&Secret::new("token")), &settings).await.unwrap();
    let seen = fs::read_to_string(seen).unwrap();
    let mut lines = seen.lines();
    assert!(lines.clone().any(|line| line.starts_with("args fetch ") && line.ends_with("/.git HEAD")), "{seen}");
    assert!(!seen.lines().filter(|line| line.starts_with("args")).any(|line| line.contains("token")), "{seen}");
    let known = ["PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "LC_ALL", "SSH_ASKPASS", "PWD", "OLDPWD", "SHLVL", "_"];
    let variables: Vec<_> = lines.clone().filter_map(|line| line.strip_prefix("env ")?.split_once('=')).collect();
    for (name, _) in &variables {
        assert!(known.contains(name) || name.starts_with("GIT_"), "{name}");
    }
    // The token is in the environment of the one run that needs it, and there encoded.
    let runs = seen.lines().filter(|line| line.starts_with("args")).count();
    assert!(runs > 3, "{seen}");
    assert_eq!(variables.iter().filter(|(_, value)| value.contains("Authorization")).count(), 1);
    assert_eq!(variables.iter().filter(|(name, value)| *name == "GIT_ALLOW_PROTOCOL" && *value == "http").count(), 1);
    assert!(lines.by_ref().filter(|line| line.starts_with("input")).all(|line| line == "input "), "{seen}");
    for bound in ["bound c 0", "bound v 524288", "bound t 60"] {
        assert_eq!(seen.lines().filter(|line| *line == bound).count(), runs, "{bound}: {seen}");
    }
    assert!(!seen.contains("bound f unlimited"), "{seen}");
}

#[tokio::test]
async fn a_server_without_git_or_with_an_old_one_says_so() {
    let server = Server::start();
    let (folder, sources) = sources(SourceLimits::default());
    let old = script(folder.path(), "echo git version 2.36.9");
    let address = GitAddress::parse(&server.url("silent", "app"), None).unwrap();
    for (program, says) in [(PathBuf::from("no-such-git"), "has no git"), (old, "2.36, which is too old")] {
        let settings = GitSettings { program, ..settings(&server) };
        assert!(matches!(settings.version(), Err(GitError::Unusable(_))), "{:?}", settings.version());
        let refused = sources.fetch(&address, None, &settings).await.unwrap_err();
        assert!(matches!(&refused, GitError::Unusable(_)), "{refused:?}");
        assert!(refused.to_string().contains(says) && refused.to_string().contains("2.37"), "{refused}");
    }
    assert!(settings(&server).version().unwrap().starts_with("git version "));
    assert_eq!(server.heads().len(), 0);
    assert_nothing_is_left(&sources);
}

#[tokio::test]
async fn what_a_killed_server_left_of_a_fetch_is_removed() {
    let (_folder, sources) = sources(SourceLimits::default());
    let (old, new) = (sources.incoming().join("git-old"), sources.incoming().join("git-new"));
    for folder in [&old, &new] {
        fs::create_dir_all(folder.join("repository")).unwrap();
        fs::write(folder.join("repository/pack"), "x").unwrap();
    }
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    fs::File::open(&old).unwrap().set_modified(long_ago).unwrap();
    Sources::open(sources.folder().to_owned(), SourceLimits::default()).unwrap();
    assert!(!old.exists() && new.exists());
}
