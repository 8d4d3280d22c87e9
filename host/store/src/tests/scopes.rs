//! A foreign organization sees nothing, whatever it asks; the platform sees everything.

use convergence_model::operation::EventKind;
use convergence_model::policy::Usage;
use convergence_model::{EnvId, RevisionNumber};

use super::*;
use crate::{Conflict, StoreError, TenantQuery};

#[tokio::test]
async fn a_foreign_scope_sees_nothing() {
    let Fixture { store, database: _database } = Fixture::new().await;
    tamper(&store, "INSERT INTO organizations (id, name, plan, created_at) VALUES (2, 'other', 'free', 0)")
        .await
        .unwrap();
    let lease = spawned_and_claimed(&store, 1, "app", HELD).await.lease;
    tell(&store, &lease, "image", EventKind::Started, "", at(2)).await.unwrap();
    let (env, tenant, operation, one) = (EnvId(1), tenant_id(1), operation_id(1), RevisionNumber(1));
    let query = TenantQuery { org: None, after: None, limit: 10 };
    let name = TenantName::parse("app").unwrap();

    for scope in [own(), Scope::platform()] {
        assert!(store.organization(&scope, ORG).await.unwrap().is_some());
        assert_eq!(store.usage(&scope, ORG).await.unwrap().tenants, 1);
        assert!(store.tenant(&scope, env).await.unwrap().is_some());
        assert_eq!(store.tenant_named(&scope, ORG, &name).await.unwrap(), Some(env));
        assert_eq!(store.tenant_names(&scope).await.unwrap().len(), 1);
        assert_eq!(store.tenants(&scope, query).await.unwrap().len(), 1);
        assert!(store.binding(&scope, tenant).await.unwrap().is_some());
        assert!(store.revision(&scope, tenant, one).await.unwrap().is_some());
        assert!(store.current_revision(&scope, tenant).await.unwrap().is_some());
        assert!(store.operation(&scope, operation).await.unwrap().is_some());
        assert!(store.active_operation(&scope, env).await.unwrap().is_some());
        assert!(store.latest_operation(&scope, env).await.unwrap().is_some());
        assert_eq!(store.events(&scope, operation, 0, 10).await.unwrap().len(), 1);
    }

    let scope = foreign();
    assert_eq!(store.organization(&scope, ORG).await.unwrap(), None);
    assert_eq!(store.usage(&scope, ORG).await.unwrap(), Usage::default());
    assert_eq!(store.tenant(&scope, env).await.unwrap(), None);
    assert_eq!(store.tenant_named(&scope, ORG, &name).await.unwrap(), None);
    assert_eq!(store.tenant_names(&scope).await.unwrap(), []);
    assert_eq!(store.tenants(&scope, query).await.unwrap(), []);
    assert_eq!(store.tenants(&scope, TenantQuery { org: Some(ORG), ..query }).await.unwrap(), []);
    assert_eq!(store.binding(&scope, tenant).await.unwrap(), None);
    assert_eq!(store.revision(&scope, tenant, one).await.unwrap(), None);
    assert_eq!(store.current_revision(&scope, tenant).await.unwrap(), None);
    assert_eq!(store.operation(&scope, operation).await.unwrap(), None);
    assert_eq!(store.active_operation(&scope, env).await.unwrap(), None);
    assert_eq!(store.latest_operation(&scope, env).await.unwrap(), None);
    assert_eq!(store.events(&scope, operation, 0, 10).await.unwrap(), []);
    // Not even that the tenant is busy.
    assert_eq!(destroy_asked(&store, &scope, env, 2, at(3)).await.unwrap(), None);
    let error = store.begin_spawn(&scope, &new_spawn(2, "mine")).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(Conflict::NoOrganization(ORG))), "{error}");
    assert_eq!(store.usage(&own(), ORG).await.unwrap().tenants, 1);
}
