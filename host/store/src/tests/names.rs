//! Names are unique in an organization without regard to case, and lead to their tenant.

use super::spawning::{all_at_once, refusal};
use super::*;
use crate::{Conflict, StoreError};

fn name(text: &str) -> TenantName {
    TenantName::stored(text).unwrap()
}

/// The number a name leads to, or the tenants it could mean.
async fn found(store: &Store, text: &str) -> std::result::Result<Option<i64>, Vec<String>> {
    match store.tenant_named(&own(), ORG, &name(text)).await {
        Ok(found) => Ok(found.map(|env_id| env_id.0)),
        Err(StoreError::Conflict(Conflict::NameAmbiguous { tenants, .. })) => Err(tenants),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_32_callers_whose_names_differ_in_case_only_one_gets_its_name() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let wanted = |n: u32| -> String {
        let upper = |(at, c): (usize, char)| if n >> at & 1 == 1 { c.to_ascii_uppercase() } else { c };
        "names".chars().enumerate().map(upper).collect()
    };
    let outcomes = all_at_once(&store, (0..32).map(|n| new_spawn(u128::from(n), &wanted(n)))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for error in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(error, StoreError::Conflict(Conflict::NameTaken { .. })), "{error}");
    }
    assert_eq!(store.tenant_names(&own()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_name_leads_to_its_tenant_however_it_is_written() {
    let Fixture { store, database: _database } = Fixture::new().await;
    store.begin_spawn(&own(), &new_spawn(1, "My App")).await.unwrap();
    for text in ["My App", "my app", "MY APP"] {
        assert_eq!(found(&store, text).await, Ok(Some(1)), "{text}");
    }
    for text in ["myapp", "my-app", "My App 2"] {
        assert_eq!(found(&store, text).await, Ok(None), "{text}");
    }
    let taken = refusal(&store, new_spawn(2, "my APP")).await;
    assert!(taken.to_string().contains("1 has the name My App"), "{taken}");
}

#[tokio::test]
async fn a_name_is_free_in_another_organization() {
    let Fixture { store, database: _database } = Fixture::new().await;
    tamper(&store, "INSERT INTO organizations (id, name, plan, created_at) VALUES (2, 'other', 'free', 0)")
        .await
        .unwrap();
    store.begin_spawn(&own(), &new_spawn(1, "app")).await.unwrap();
    let theirs = NewSpawn { org: convergence_model::OrgId(2), ..new_spawn(2, "APP") };
    store.begin_spawn(&foreign(), &theirs).await.unwrap();
    assert_eq!(found(&store, "app").await, Ok(Some(1)));
    let of_theirs = store.tenant_named(&foreign(), theirs.org, &name("app")).await.unwrap();
    assert_eq!(of_theirs, Some(EnvId(2)));
    assert_eq!(store.tenant_named(&own(), theirs.org, &name("app")).await.unwrap(), None, "it is out of reach");
}

#[tokio::test]
async fn names_of_an_earlier_version_that_differ_in_case_only_go_on_leading_to_their_tenants() {
    let Fixture { store, database: _database } = Fixture::new().await;
    for (n, text) in [(1, "app"), (2, "other"), (3, "third")] {
        store.begin_spawn(&own(), &new_spawn(n, text)).await.unwrap();
    }
    let renamed = "UPDATE tenants SET name = 'App', spec = REPLACE(spec, '\"other\"', '\"App\"') WHERE env_id = 2";
    tamper(&store, renamed).await.unwrap();
    tamper(&store, "UPDATE tenants SET name = '7', spec = REPLACE(spec, '\"third\"', '\"7\"') WHERE env_id = 3")
        .await
        .unwrap();

    assert_eq!((found(&store, "app").await, found(&store, "App").await), (Ok(Some(1)), Ok(Some(2))));
    assert_eq!(found(&store, "APP").await, Err(vec!["1 (app)".to_owned(), "2 (App)".to_owned()]));
    assert_eq!(store.tenant(&own(), EnvId(3)).await.unwrap().unwrap().spec.name.as_str(), "7");
    let names: Vec<String> =
        store.tenant_names(&own()).await.unwrap().into_iter().map(|named| named.name.to_string()).collect();
    assert_eq!(names, ["app", "App", "7"]);
    assert!(matches!(refusal(&store, new_spawn(4, "aPP")).await, Conflict::NameTaken { .. }));
}
