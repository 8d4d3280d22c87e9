//! The volumes of a tenant are listed with what is in them, and removed by name.

use std::collections::BTreeMap;

use convergence_model::workload::label;
use convergence_runtime::fake::Fault;
use convergence_runtime::{Runtime, RuntimeError};
use serde_json::json;

use super::site::Site;

impl Site {
    /// Puts a volume with the labels of tenant 1 into the engine.
    async fn leave(&self, name: &str, bytes: Option<u64>) {
        let labels = [(label::INSTANCE, "test"), (label::TENANT, "1")];
        let labels = BTreeMap::from(labels.map(|(key, value)| (key.to_owned(), value.to_owned())));
        self.runtime.ensure_volume(name, &labels).await.unwrap();
        self.runtime.fill(name, bytes);
    }
}

#[tokio::test]
async fn a_volume_that_nothing_mounts_is_listed_and_removed_by_its_name() {
    let site = Site::new().await;
    assert_eq!(site.ask("GET", "/api/v1/tenant/1/volumes").await.status, 404);
    assert_eq!(site.ask("DELETE", "/api/v1/tenant/1/volumes/old").await.status, 404);
    assert_eq!(site.spawn("app").await.status, 201);
    site.leave("t-1-old", Some(5 << 20)).await;
    site.leave("t-1-older", None).await;
    let listed = site.ask("GET", "/api/v1/tenant/app/volumes").await;
    let expected = json!({ "volumes": [
        { "name": "old", "engineName": "t-1-old", "sizeBytes": 5 << 20, "inUse": false },
        { "name": "older", "engineName": "t-1-older", "sizeBytes": null, "inUse": false },
    ] });
    assert_eq!((listed.status.as_u16(), listed.document), (200, expected));

    site.runtime.forget_journal();
    for unknown in ["other", "..%2Ft-1-old", "t-2-old", "%20"] {
        let answer = site.ask("DELETE", &format!("/api/v1/tenant/app/volumes/{unknown}")).await;
        assert_eq!((answer.status.as_u16(), &answer.document["code"]), (404, &json!("not-found")), "{unknown}");
        assert_eq!(answer.document["detail"], "there is no such volume", "{unknown}");
    }
    let calls = site.runtime.journal();
    assert!(calls.iter().all(|call| call.method != "remove_volume"), "{calls:?}");

    // A container that was made by hand mounts it: only the engine knows.
    let message = "volume is in use".to_owned();
    let held = RuntimeError::Conflict { what: "volume t-1-old".to_owned(), message };
    site.runtime.next("remove_volume", Fault::Before(held));
    let refused = site.ask("DELETE", "/api/v1/tenant/app/volumes/old").await;
    assert_eq!((refused.status.as_u16(), &refused.document["code"]), (409, &json!("volume-in-use")), "{refused:?}");

    let removed = site.ask("DELETE", "/api/v1/tenant/app/volumes/old").await;
    assert_eq!(removed.status, 200, "{removed:?}");
    assert_eq!(removed.document["operation"]["kind"], "remove-volume");
    let begun = site.ask("DELETE", "/api/v1/tenant/app/volumes/older?wait=0").await;
    assert!([200, 202].contains(&begun.status.as_u16()), "{begun:?}");
}
