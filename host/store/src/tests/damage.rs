//! Restarts, rows nobody can read, files that are no database.

use std::sync::atomic::{AtomicU32, Ordering};

use convergence_model::operation::EventKind;
use convergence_model::{EnvId, RevisionNumber};

use super::*;
use crate::{StoreError, TenantQuery};

#[tokio::test]
async fn a_database_opened_again_holds_everything() {
    let fixture = Fixture::new().await;
    let store = fixture.store.clone();
    let claimed = spawned_and_claimed(&store, 1, "app", HELD).await;
    tell(&store, &claimed.lease, "image", EventKind::Started, "", at(2)).await.unwrap();
    let tenant = store.tenant(&own(), EnvId(1)).await.unwrap();
    let operation = store.operation(&own(), operation_id(1)).await.unwrap();
    store.close().await;

    let store = fixture.again().await;
    assert_eq!(store.tenant(&own(), EnvId(1)).await.unwrap(), tenant);
    assert_eq!(store.operation(&own(), operation_id(1)).await.unwrap(), operation);
    // A worker that outlived the restart still holds its lease.
    tell(&store, &claimed.lease, "image", EventKind::Done, "", at(3)).await.unwrap();
    assert_eq!(store.events(&own(), operation_id(1), 0, 10).await.unwrap().len(), 2);
    end(&store, &claimed.lease, Ended::Spawned, at(4)).await.unwrap();
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let lease = spawned_and_claimed(&store, 1, "app", HELD).await.lease;
    tell(&store, &lease, "image", EventKind::Started, "", at(2)).await.unwrap();
    store.revision_built(&lease, RevisionNumber(1), &built("tag")).await.unwrap();

    let (scope, env, tenant, operation) = (own(), EnvId(1), tenant_id(1), operation_id(1));
    let assert_corrupt = |outcome: crate::Result<()>, expected: &str| match outcome {
        Err(StoreError::Corrupt { table, .. }) => assert_eq!(table, expected),
        other => panic!("{expected}: {other:?}"),
    };
    let query = TenantQuery { org: None, after: None, limit: 10 };
    tamper(&store, "UPDATE tenants SET spec = '{\"name\": \"../etc\"}'").await.unwrap();
    assert_corrupt(store.tenant(&scope, env).await.map(drop), "tenants");
    assert_corrupt(store.tenants(&scope, query).await.map(drop), "tenants");
    tamper(&store, "UPDATE bindings SET key_version = 5000000000").await.unwrap();
    assert_corrupt(store.binding(&scope, tenant).await.map(drop), "bindings");
    tamper(&store, "UPDATE revisions SET built = '{'").await.unwrap();
    assert_corrupt(store.current_revision(&scope, tenant).await.map(drop), "revisions");
    assert_corrupt(store.revision_built(&lease, RevisionNumber(1), &built("tag")).await, "revisions");
    tamper(&store, "UPDATE operation_events SET event = 'exploded'").await.unwrap();
    assert_corrupt(store.events(&scope, operation, 0, 10).await.map(drop), "operation_events");
    tamper(&store, "UPDATE operations SET updated_at = 9223372036854775807").await.unwrap();
    assert_corrupt(store.operation(&scope, operation).await.map(drop), "operations");
    tamper(&store, "UPDATE tenant_keys SET version = 5000000000").await.unwrap();
    assert_corrupt(store.key_by_lookup("lookup-1").await.map(drop), "tenant_keys");
    tamper(&store, "UPDATE tenants SET cpu_millis = 9000000000").await.unwrap();
    assert_corrupt(store.usage(&scope, ORG).await.map(drop), "tenants");
}

#[tokio::test]
async fn an_operation_that_failed_with_a_code_of_a_newer_version_can_be_read() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let lease = spawned_and_claimed(&store, 1, "app", HELD).await.lease;
    store.turn_back(&lease, &failure(), at(2)).await.unwrap();
    let newer = "UPDATE operations SET failure = REPLACE(failure, 'build-failed', 'moon-phase-wrong')";
    assert_eq!(tamper(&store, newer).await.unwrap(), 1);
    let operation = store.operation(&own(), operation_id(1)).await.unwrap().unwrap();
    let failure = operation.failure.unwrap();
    assert_eq!((failure.code.code(), failure.code.as_str()), (Code::UnknownCode, "moon-phase-wrong"));
    assert_eq!(failure.message, "npm said no");
}

#[tokio::test]
async fn what_is_written_once_stays() {
    let Fixture { store, database: _database } = Fixture::new().await;
    store.begin_spawn(&own(), &new_spawn(1, "app")).await.unwrap();
    let otherwise = match store.engine_name() {
        "sqlite" => {
            "INSERT OR REPLACE INTO audit (org, seq, at, actor, action, detail) VALUES (1, 1, 0, 'x', 'y', '{}')"
        }
        _ => "TRUNCATE audit",
    };
    for sql in ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit", otherwise] {
        let error = tamper(&store, sql).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{sql}: {error}");
    }
    let rows: Vec<(String, String)> = store.database.all("SELECT actor, action FROM audit", Vec::new()).await.unwrap();
    assert_eq!(rows, [("tester".to_owned(), "tenant.spawn".to_owned())]);
}

#[tokio::test]
async fn a_location_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for location in ["", ":memory:", "mysql://user:secret@host/db", "postgres://["] {
        let error = Store::open(location).await.unwrap_err();
        assert!(matches!(error, StoreError::Location(_)), "{location}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let nowhere = folder.path().join("missing/state.db");
    let error = Store::open(nowhere.to_str().unwrap()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(error.to_string().contains("missing/state.db"), "the message names the file: {error}");

    let letter = folder.path().join("letter");
    std::fs::write(&letter, "Dear Sir or Madam, ".repeat(100)).unwrap();
    let error = Store::open(letter.to_str().unwrap()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let Fixture { store, database } = Fixture::new().await;
    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         SELECT 9999, 'tomorrow', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
    assert_eq!(tamper(&store, sql).await.unwrap(), 1);
    store.close().await;
    let error = Store::open(database.location()).await.unwrap_err();
    assert!(matches!(error, StoreError::Migration(_)), "{error}");
}

#[tokio::test]
async fn a_busy_transaction_is_begun_again_but_not_for_ever() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let begun = AtomicU32::new(0);
    let busy_until = |last: u32| {
        let begun = &begun;
        move || async move {
            let busy = begun.fetch_add(1, Ordering::Relaxed) < last;
            if busy { Err(StoreError::Busy("in the way".into())) } else { Ok(()) }
        }
    };
    store.database.retry(busy_until(3)).await.unwrap();
    assert_eq!(begun.swap(0, Ordering::Relaxed), 4);
    assert!(matches!(store.database.retry(busy_until(u32::MAX)).await, Err(StoreError::Busy(_))));
    assert_eq!(begun.swap(0, Ordering::Relaxed), 5);
}

#[tokio::test]
async fn connections_that_read_cannot_write() {
    let Fixture { store, database: _database } = Fixture::sqlite().await;
    let outcome = store.database.all::<(i64,)>("DELETE FROM tenants RETURNING env_id", Vec::new()).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let Fixture { store: _store, database } = Fixture::sqlite().await;
    let folder = std::path::Path::new(database.location()).parent().unwrap();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", file.path());
    }
}
