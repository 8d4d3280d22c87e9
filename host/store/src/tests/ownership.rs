//! Whose a database is, read without a trace.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::*;
use crate::{Location, Ownership, StoreError};

fn installation(id: &str, key_check: &str) -> Ownership {
    Ownership::Installation { id: id.to_owned(), key_check: key_check.to_owned() }
}

/// Every file of a folder: its bytes, and when it was last changed.
fn contents(folder: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| {
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), (fs::read(&path).unwrap(), modified))
    };
    entries.map(read).collect()
}

#[tokio::test]
async fn a_database_says_whose_it_is_from_its_first_start_on() {
    let database = Fresh::new().await;
    let owner = async || Ownership::read(database.location()).await.unwrap();
    assert_eq!(owner().await, Ownership::Nobody);
    let store = Store::open(database.location()).await.unwrap();
    store.close().await;
    assert_eq!(owner().await, Ownership::Nobody, "a first start was cut off between the tables and the row");
    let store = Store::open(database.location()).await.unwrap();
    store.adopt_installation("one", "check").await.unwrap();
    store.close().await;
    assert_eq!(owner().await, installation("one", "check"));
}

#[tokio::test]
async fn a_database_of_another_program_is_told_by_one_of_its_tables() {
    let database = Fresh::new().await;
    let store = Store::open(database.location()).await.unwrap();
    tamper(&store, "CREATE TABLE aardvarks (name TEXT)").await.unwrap();
    tamper(&store, "DROP TABLE installation").await.unwrap();
    store.close().await;
    let owner = Ownership::read(database.location()).await.unwrap();
    assert_eq!(owner, Ownership::Foreign { table: "aardvarks".to_owned() });
}

/// What a killed server had committed is in its write-ahead log and nowhere else.
#[tokio::test]
async fn an_sqlite_file_with_a_log_is_read_and_keeps_every_byte() {
    let original = Fixture::sqlite().await;
    original.store.adopt_installation("one", "check").await.unwrap();
    let place = Path::new(original.database.location());
    let log = |place: &Path| Path::new(&format!("{}-wal", place.display())).to_owned();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("state.db");
    // With the index of its log, as a kill leaves it; and without, as a backup does.
    for index in [true, false] {
        for file in ["", "-wal", "-shm"].iter().filter(|file| index || **file != "-shm") {
            let (from, to) = (format!("{}{file}", place.display()), format!("{}{file}", copy.display()));
            fs::copy(from, to).unwrap();
        }
        assert!(fs::metadata(log(&copy)).unwrap().len() > 0, "the test is about a log that holds something");
        let before = contents(folder.path());
        assert_eq!(before.len(), if index { 3 } else { 2 });
        let owner = Ownership::read(copy.to_str().unwrap()).await.unwrap();
        assert_eq!(owner, installation("one", "check"));
        assert_eq!(contents(folder.path()), before);
        for file in before.keys() {
            fs::remove_file(folder.path().join(file)).unwrap();
        }
    }
    // And where nothing but the file is there, nothing else is made.
    original.store.close().await;
    fs::copy(place, &copy).unwrap();
    let before = contents(folder.path());
    assert_eq!(Ownership::read(copy.to_str().unwrap()).await.unwrap(), installation("one", "check"));
    assert_eq!(contents(folder.path()), before);
}

#[tokio::test]
async fn what_is_not_there_is_nobodys_and_stays_away() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("state.db");
    assert_eq!(Ownership::read(missing.to_str().unwrap()).await.unwrap(), Ownership::Nobody);
    let nowhere = folder.path().join("missing/state.db");
    assert_eq!(Ownership::read(nowhere.to_str().unwrap()).await.unwrap(), Ownership::Nobody);
    assert_eq!(contents(folder.path()), BTreeMap::new());
    fs::write(&missing, "").unwrap();
    assert_eq!(Ownership::read(missing.to_str().unwrap()).await.unwrap(), Ownership::Nobody);

    fs::write(&missing, "Dear Sir or Madam, ".repeat(100)).unwrap();
    let error = Ownership::read(missing.to_str().unwrap()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    let error = Ownership::read("postgres://nobody@127.0.0.1:1/none").await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
}

#[test]
fn a_location_is_a_file_or_a_server() {
    let file = |path| Location::File(Path::new(path));
    assert_eq!(Location::parse("data/state.db").unwrap(), file("data/state.db"));
    assert_eq!(Location::parse("sqlite:/data/state.db").unwrap(), file("/data/state.db"));
    assert_eq!(Location::parse("sqlite:///data/state.db").unwrap(), file("/data/state.db"));
    assert_eq!(Location::parse("postgres://host/db").unwrap(), Location::Server("postgres://host/db"));
    for wrong in ["", ":memory:", "mysql://user:secret@host/db"] {
        assert!(matches!(Location::parse(wrong), Err(StoreError::Location(_))), "{wrong}");
    }
}
