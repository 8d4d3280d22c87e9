//! What the store can prove to have known and let go.

use convergence_model::RevisionNumber;

use super::*;

#[tokio::test]
async fn a_tenant_is_let_go_by_its_destroy_or_its_undone_spawn_and_by_nothing_else() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let gone = async |claimed: &Claimed| store.let_tenant_go(claimed.operation.env_id().unwrap()).await.unwrap();
    assert!(!store.let_tenant_go(EnvId(1)).await.unwrap(), "an empty database proves nothing");
    let undone = spawned_and_claimed(&store, 1, "undone", HELD).await;
    let destroyed = spawned_and_claimed(&store, 2, "destroyed", HELD).await;
    let stuck = spawned_and_claimed(&store, 3, "stuck", HELD).await;
    assert!(!gone(&undone).await);
    end(&store, &undone.lease, Ended::Undone, at(2)).await.unwrap();
    end(&store, &destroyed.lease, Ended::Spawned, at(2)).await.unwrap();
    end(&store, &stuck.lease, Ended::Stuck, at(2)).await.unwrap();
    assert!(gone(&undone).await);
    assert!(!gone(&destroyed).await && !gone(&stuck).await);
    destroy_asked(&store, &own(), destroyed.operation.env_id().unwrap(), 4, at(3)).await.unwrap().unwrap();
    let destroy = claim(&store, "worker", HELD, at(4)).await.unwrap().unwrap();
    assert!(!gone(&destroyed).await, "it is being destroyed");
    end(&store, &destroy.lease, Ended::Destroyed, at(5)).await.unwrap();
    assert!(gone(&destroyed).await);
    // Operations are forgotten; what was let go is not.
    store.prune(at(100)).await.unwrap();
    assert!(gone(&undone).await && gone(&destroyed).await);
    assert!(!store.let_tenant_go(EnvId(999)).await.unwrap());
}

#[tokio::test]
async fn an_image_is_let_go_with_the_last_tenant_that_was_built_as_it() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let built = Built {
        tag: "ours:1".to_owned(),
        published: None,
        image_id: "sha256:7".to_owned(),
        dockerfile: "FROM scratch".to_owned(),
        bases: Vec::new(),
        declared: None,
    };
    let mut claimed = Vec::new();
    for (n, name) in [(1, "one"), (2, "two")] {
        let one = spawned_and_claimed(&store, n, name, HELD).await;
        store.revision_built(&one.lease, RevisionNumber(1), &built).await.unwrap();
        claimed.push(one);
    }
    let unbuilt = spawned_and_claimed(&store, 3, "unbuilt", HELD).await;
    store.revision_building(&unbuilt.lease, RevisionNumber(1), "ours:2", at(0)).await.unwrap();
    let gone = async |name| store.let_image_go(name).await.unwrap();
    assert!(!gone("ours:1").await);
    end(&store, &claimed[0].lease, Ended::Undone, at(2)).await.unwrap();
    assert!(!gone("ours:1").await, "another tenant has it");
    end(&store, &claimed[1].lease, Ended::Undone, at(3)).await.unwrap();
    assert!(gone("ours:1").await && gone("sha256:7").await);
    end(&store, &unbuilt.lease, Ended::Undone, at(20)).await.unwrap();
    assert!(gone("ours:2").await, "what was only begun to be built may come to be all the same");
    assert!(!gone("ours:3").await);
    store.prune(at(10)).await.unwrap();
    assert!(!gone("ours:1").await && gone("ours:2").await, "pruned like operations");
}
