//! What organizations log in to registries with: sealed, theirs alone, replaced and deleted.

use convergence_model::{ImageRepository, RegistryHost, Sealed, SealingKeyId};

use super::*;
use crate::{Conflict, NewRegistry, SealedIn, StoreError};

fn host(text: &str) -> RegistryHost {
    RegistryHost::parse(text).unwrap()
}

fn sealed(key: &str, bytes: &[u8]) -> Sealed {
    Sealed { key: SealingKeyId::parse(key).unwrap(), bytes: bytes.to_vec() }
}

const FIRST: &str = "0a0b0c0d";
const SECOND: &str = "11111111";

/// A store with two organizations and a key.
async fn fixture() -> Fixture {
    let fixture = Fixture::new().await;
    let sql = "INSERT INTO organizations (id, name, plan, created_at) VALUES (2, 'other', 'free', 0)";
    tamper(&fixture.store, sql).await.unwrap();
    begin_to_seal(&fixture.store, FIRST).await;
    fixture
}

async fn begin_to_seal(store: &Store, key: &str) {
    let held = [FIRST, SECOND].map(|key| SealingKeyId::parse(key).unwrap());
    assert_eq!(store.add_sealing_key(&sealed(key, b"proof"), &held, at(0)).await.unwrap(), None);
}

async fn log_in(store: &Store, org: OrgId, name: &str, version: u32, sealed: &Sealed) -> crate::Result<()> {
    let host = host(name);
    let new = NewRegistry { host: &host, user: "robot", version, sealed, actor: "tester", now: at(i64::from(version)) };
    store.log_in(&Scope::granted(org), org, new).await
}

#[tokio::test]
async fn a_login_is_kept_for_its_organization_replaced_and_deleted() {
    let Fixture { store, database: _database } = fixture().await;
    let (registry, first, second) = (host("registry.example:5000"), sealed(FIRST, b"one"), sealed(FIRST, b"two"));
    log_in(&store, ORG, "registry.example:5000", 1, &first).await.unwrap();
    let overtaken = log_in(&store, ORG, "registry.example:5000", 1, &second).await.unwrap_err();
    assert!(matches!(overtaken, StoreError::Conflict(Conflict::ChangedMeanwhile)), "{overtaken}");
    log_in(&store, ORG, "docker.io", 2, &first).await.unwrap();
    for scope in [own(), Scope::platform()] {
        let listed = store.registries(&scope, ORG).await.unwrap();
        let told: Vec<_> = listed.iter().map(|it| (it.host.as_str(), it.user.as_str(), it.actor.as_str())).collect();
        assert_eq!(told, [("docker.io", "robot", "tester"), ("registry.example:5000", "robot", "tester")]);
        assert_eq!(store.registries_set(&scope, ORG).await.unwrap(), Some(2));
        assert_eq!(store.registry(&scope, ORG, &registry).await.unwrap().unwrap().sealed, first);
        assert_eq!(store.registry(&scope, OrgId(2), &registry).await.unwrap(), None, "another organization has none");
    }
    let foreign = foreign();
    assert_eq!(store.registries(&foreign, ORG).await.unwrap(), []);
    assert_eq!(store.registry(&foreign, ORG, &registry).await.unwrap(), None);
    assert_eq!(store.registries_set(&foreign, ORG).await.unwrap(), None);
    assert!(!store.log_out(&foreign, ORG, &registry, "tester", at(3)).await.unwrap());
    let new = NewRegistry { host: &registry, user: "x", version: 3, sealed: &second, actor: "tester", now: at(3) };
    let refused = store.log_in(&foreign, ORG, new).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict(Conflict::NoOrganization(ORG))), "{refused}");

    log_in(&store, ORG, "registry.example:5000", 3, &second).await.unwrap();
    let kept = store.registry(&own(), ORG, &registry).await.unwrap().unwrap();
    assert_eq!((kept.version, kept.sealed), (3, second));
    assert!(store.log_out(&own(), ORG, &registry, "tester", at(4)).await.unwrap());
    assert!(!store.log_out(&own(), ORG, &registry, "tester", at(5)).await.unwrap());
    assert_eq!(store.registry(&own(), ORG, &registry).await.unwrap(), None);
    assert_eq!(store.registries_set(&own(), ORG).await.unwrap(), Some(3), "no version is used twice");
    let sql = "SELECT action, detail FROM audit WHERE org = 1 AND action LIKE 'registry.%' ORDER BY seq";
    let audit: Vec<(String, String)> = store.database.all(sql, Vec::new()).await.unwrap();
    let actions: Vec<_> = audit.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["registry.login", "registry.login", "registry.login", "registry.logout"]);
    assert_eq!(audit[0].1, r#"{"host":"registry.example:5000","user":"robot"}"#);
}

#[tokio::test]
async fn passwords_are_counted_sealed_anew_and_hold_their_key() {
    let Fixture { store, database: _database } = fixture().await;
    let [first, second] = [FIRST, SECOND].map(|key| SealingKeyId::parse(key).unwrap());
    log_in(&store, ORG, "docker.io", 1, &sealed(FIRST, b"one")).await.unwrap();
    begin_to_seal(&store, SECOND).await;
    let late = log_in(&store, ORG, "docker.io", 2, &sealed(FIRST, b"late")).await.unwrap_err();
    assert!(matches!(late, StoreError::Conflict(Conflict::ChangedMeanwhile)), "a rotation would not see it: {late}");
    let values = async || -> Vec<u64> { store.sealing_keys().await.unwrap().iter().map(|key| key.values).collect() };
    assert_eq!(values().await, [1, 0]);
    assert!(!store.retire_sealing_key(&first, "tester", at(2)).await.unwrap());
    let mut row = store.sealed_by_others(&second, 10).await.unwrap().remove(0);
    assert_eq!((row.kept_in, row.owner.as_str(), row.name.as_str()), (SealedIn::Registries, "1", "docker.io"));
    row.sealed = sealed(SECOND, b"anew");
    let stale = crate::SealedRow { version: 2, ..row.clone() };
    assert_eq!(store.resealed(&[(first.clone(), stale)]).await.unwrap(), 0, "it was replaced meanwhile");
    assert_eq!(store.resealed(&[(first.clone(), row)]).await.unwrap(), 1);
    assert_eq!(values().await, [0, 1]);
    assert_eq!(store.sealed_by_others(&second, 10).await.unwrap(), []);
    assert!(store.retire_sealing_key(&first, "tester", at(3)).await.unwrap());
}

#[tokio::test]
async fn images_that_need_a_login_are_remembered() {
    let Fixture { store, database: _database } = fixture().await;
    let of = |reference: &str| ImageRepository::of(reference).unwrap();
    assert!(!store.is_private_image(&of("registry.example/app:1")).await.unwrap());
    assert!(store.add_private_image(&of("registry.example/app:1")).await.unwrap());
    assert!(!store.add_private_image(&of("registry.example/app:2")).await.unwrap(), "it is known");
    assert!(store.is_private_image(&of("registry.example/app@sha256:ab")).await.unwrap());
    assert!(!store.is_private_image(&of("registry.example/other")).await.unwrap());
    store.forget_private_image(&of("registry.example/app:3")).await.unwrap();
    assert!(!store.is_private_image(&of("registry.example/app:1")).await.unwrap());
}
