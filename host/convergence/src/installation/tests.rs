//! Every combination of what a start can find, and the files it reads and makes.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::decision::Refusal;
use super::found::Database;
use super::*;

const OURS: &str = "0198aaaa";
const THEIRS: &str = "0198bbbb";

fn kept(what: &str) -> Kept<String> {
    match what {
        "absent" => Kept::Absent,
        "unusable" => Kept::Unusable("it is open to other users".to_owned()),
        value => Kept::Present(value.to_owned()),
    }
}

fn database(what: &str) -> Database {
    let of = |id: &str, key: &str| Database::Of { id: id.to_owned(), key_check: key.to_owned() };
    match what {
        "empty" => Database::Empty,
        "ours" => of(OURS, "key"),
        "ours, another key" => of(OURS, "other key"),
        "theirs" => of(THEIRS, "other key"),
        "foreign" => Database::Foreign { table: "customers".to_owned() },
        other => Database::Unreadable(other.to_owned()),
    }
}

const KEYS: [&str; 3] = ["absent", "key", "unusable"];
const IDS: [&str; 3] = ["absent", OURS, "unusable"];
const DATABASES: [&str; 6] = ["empty", "ours", "ours, another key", "theirs", "foreign", "no answer"];

fn found(master: &str, id: &str, of: &str, unfinished: bool) -> Found {
    let (folder, server) = (Kept::Present(()), Kept::Absent);
    Found { folder, master: kept(master), id: kept(id), server, unfinished, database: database(of) }
}

/// What the table says of a combination; one line each, and every combination has one.
fn expected(master: &str, id: &str, of: &str, unfinished: bool) -> Result<Start, &'static str> {
    match (master, id, of, unfinished) {
        ("unusable", ..) | (_, "unusable", ..) => Err("unusable"),
        (_, _, "no answer", _) => Err("database unreadable"),
        (_, _, "foreign", _) => Err("database foreign"),
        // A first start; or one that was cut off, wherever that was.
        (_, _, "empty", true) => Ok(Start::First),
        ("absent", "absent", "empty", false) => Ok(Start::First),
        // Nothing but the whole is enough.
        ("key", OURS, "ours", _) => Ok(Start::Again),
        ("key", OURS, "ours, another key", _) => Err("key of another"),
        ("key", OURS, "theirs", _) => Err("database of another"),
        ("key", OURS, "empty", false) => Err("database lost"),
        ("absent", OURS, _, _) => Err("key lost"),
        ("key", "absent", "ours", _) => Err("id lost, and known"),
        ("key", "absent", ..) => Err("id lost"),
        ("absent", "absent", ..) => Err("files lost"),
        other => panic!("the table has no line for {other:?}"),
    }
}

fn name(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Unusable(_) => "unusable",
        Refusal::DatabaseUnreadable(_) => "database unreadable",
        Refusal::DatabaseForeign { .. } => "database foreign",
        Refusal::DatabaseLost { .. } => "database lost",
        Refusal::DatabaseOfAnother { .. } => "database of another",
        Refusal::FilesLost { .. } => "files lost",
        Refusal::IdLost { from_database: Some(_) } => "id lost, and known",
        Refusal::IdLost { from_database: None } => "id lost",
        Refusal::KeyLost { .. } => "key lost",
        Refusal::KeyOfAnother { .. } => "key of another",
    }
}

#[test]
fn every_combination_of_key_id_and_database_is_decided() {
    for master in KEYS {
        for id in IDS {
            for of in DATABASES {
                for unfinished in [false, true] {
                    let decided = decide(&found(master, id, of, unfinished)).map_err(|refusal| name(&refusal));
                    let wanted = expected(master, id, of, unfinished);
                    assert_eq!(decided, wanted, "key {master}, id {id}, database {of}, unfinished {unfinished}");
                }
            }
        }
    }
}

#[test]
fn a_refusal_names_both_sides_and_says_what_to_do() {
    let explained = |master, id, of| {
        let refusal = decide(&found(master, id, of, false)).unwrap_err();
        refusal.explain(Path::new("/srv/data"), "postgres://…@db/convergence")
    };
    for (text, words) in [
        (explained("key", OURS, "empty"), vec![OURS, "/srv/data", "@db/convergence", "DATABASE_URL", "backup"]),
        (explained("key", OURS, "theirs"), vec![OURS, THEIRS, "/srv/data", "@db/convergence"]),
        (explained("absent", "absent", "ours"), vec![OURS, "master.key", "installation", "restore"]),
        (explained("key", "absent", "ours"), vec![OURS, "/srv/data/installation", "restore", "xxd"]),
        (explained("key", "absent", "empty"), vec!["/srv/data/installation", "missing"]),
        (explained("absent", OURS, "ours"), vec![OURS, "/srv/data/master.key", "restore"]),
        (explained("key", OURS, "ours, another key"), vec![OURS, "master.key", "Restore"]),
        (explained("absent", "absent", "foreign"), vec!["customers", "@db/convergence", "empty database"]),
    ] {
        for word in words.into_iter().chain(["Nothing was changed"]) {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}

#[test]
fn a_folder_keeps_its_mode_or_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("deep/data");
    assert_eq!(files::folder(&data), Kept::Absent);
    files::make_folder(&data).unwrap();
    let mode = |mode| fs::set_permissions(&data, fs::Permissions::from_mode(mode)).unwrap();
    assert_eq!(files::folder(&data), Kept::Present(()));
    for open in [0o755, 0o750, 0o701] {
        mode(open);
        let Kept::Unusable(reason) = files::folder(&data) else { panic!("{open:o}") };
        assert!(reason.contains("chmod 700") && reason.contains(&format!("{open:o}")), "{reason}");
        let refused = decide(&Found { folder: files::folder(&data), ..found("key", OURS, "ours", false) });
        assert_eq!(refused, Err(Refusal::Unusable(reason)));
        assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, open, "it was not changed");
    }
    mode(0o500);
    assert_eq!(files::folder(&data), Kept::Present(()), "narrower is the owner's own decision");
    mode(0o700);
    fs::write(data.join("file"), "").unwrap();
    assert!(matches!(files::folder(&data.join("file")), Kept::Unusable(_)));
}

#[test]
fn what_a_first_start_makes_stays_the_same_and_nothing_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = Installation::open(&data, Start::First).unwrap();
    assert!(data.join(UNFINISHED).exists());
    let cut_off = Installation::open(&data, Start::First).unwrap();
    assert_eq!((first.master, &first.id, &first.server), (cut_off.master, &cut_off.id, &cut_off.server));
    Installation::settled(&data).unwrap();
    Installation::settled(&data).unwrap();
    assert!(!data.join(UNFINISHED).exists());
    let again = Installation::open(&data, Start::Again).unwrap();
    assert_eq!((first.master, first.id), (again.master, again.id));
    for file in [MASTER_KEY, ID] {
        let (there, away) = (data.join(file), data.join("away"));
        fs::rename(&there, &away).unwrap();
        assert!(Installation::open(&data, Start::Again).is_err(), "{file} is not made again");
        assert!(!there.exists(), "{file}");
        fs::rename(&away, &there).unwrap();
    }
    // One more server of an installation has its two files and makes a name of its own.
    fs::remove_file(data.join(SERVER_ID)).unwrap();
    assert_ne!(Installation::open(&data, Start::Again).unwrap().server, first.server);
}

#[test]
fn a_key_that_others_may_read_or_that_is_cut_short_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    Installation::open(folder.path(), Start::First).unwrap();
    let key = folder.path().join(MASTER_KEY);
    let reason = || match files::read::<32>(&key) {
        Kept::Unusable(reason) => reason,
        other => panic!("{other:?}"),
    };
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(reason().contains("chmod 600") && reason().contains("644"), "{}", reason());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, b"short").unwrap();
    assert!(reason().contains("5 bytes instead of 32"), "{}", reason());
    fs::write(&key, [0; 40]).unwrap();
    assert!(reason().contains("more than 32 bytes"), "{}", reason());
}

#[test]
fn two_servers_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("convergence.db");
    assert!(Lock::of_earlier_start(&database).unwrap().is_none());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "looking makes no file");
    let first = Lock::make(&database).unwrap();
    for second in [Lock::make(&database).map(Some), Lock::of_earlier_start(&database)] {
        assert!(format!("{:#}", second.unwrap_err()).contains("data-dir"));
    }
    drop(first);
    assert!(Lock::of_earlier_start(&database).unwrap().is_some());
}

#[test]
fn a_password_is_not_shown() {
    assert_eq!(shown("postgres://user:secret@host/db"), "postgres://…@host/db");
    assert_eq!(shown("/srv/data/convergence.db"), "/srv/data/convergence.db");
}
