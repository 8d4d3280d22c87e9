//! The inventory of plugins.

use convergence_model::plugin::{Change, InstalledVersion, Source};

use super::*;

fn add(digest: &str, version: &str, bytes: &[u8]) -> Change {
    Change::Add {
        plugin: "ruby".to_owned(),
        kind: "template".to_owned(),
        digest: digest.to_owned(),
        version: InstalledVersion {
            version: version.parse().unwrap(),
            source: Source::Folder { server: "one".to_owned(), path: "ruby.wasm".to_owned() },
            signature: Some("{}".to_owned()),
            installed_at: at(1),
        },
        bytes: bytes.into(),
    }
}

fn activate(digest: &str) -> Change {
    Change::Activate { plugin: "ruby".to_owned(), digest: Some(digest.to_owned()) }
}

/// Every change there is, each read back as the inventory itself carries it out.
pub(super) async fn inventory(store: &Store) {
    let empty = store.plugin_inventory().await.unwrap();
    assert!(empty.plugins.is_empty());
    let plugin = || "ruby".to_owned();
    let histories: Vec<Vec<Change>> = vec![
        vec![add("sha256:a", "1.0.0", b"aaa"), activate("sha256:a")],
        vec![add("sha256:b", "1.1.0", b"bbb"), activate("sha256:b")],
        vec![Change::Enable { plugin: plugin(), enabled: false }],
        vec![Change::Configure { plugin: plugin(), configuration: Some(serde_json::json!({ "x": [1, "é"] })) }],
        vec![Change::Bind { plugin: plugin(), organizations: Some([ORG].into()) }],
        vec![Change::Move { plugin: plugin(), digest: "sha256:b".to_owned(), source: Source::Upload }],
        vec![activate("sha256:a")],
        vec![Change::Drop { plugin: plugin(), digest: "sha256:b".to_owned() }],
    ];
    let mut known = empty.clone();
    for changes in histories {
        let after = store.change_plugins(&known, &changes, "admin", at(2)).await.unwrap().unwrap();
        assert_eq!(store.plugin_inventory().await.unwrap(), after, "{changes:?}");
        assert_eq!(store.plugin_inventory_seq().await.unwrap(), after.seq);
        known = after;
    }
    assert_eq!(store.plugin_bytes("ruby", "sha256:a").await.unwrap().as_deref(), Some(b"aaa".as_slice()));
    assert_eq!(store.plugin_bytes("ruby", "sha256:b").await.unwrap(), None);

    let late = store.change_plugins(&empty, &[activate("sha256:a")], "admin", at(3)).await.unwrap();
    assert_eq!(late, None, "decided on what is no longer so");
    assert_eq!(store.plugin_inventory().await.unwrap(), known);

    let gone = store.change_plugins(&known, &[Change::Remove { plugin: plugin() }], "admin", at(4)).await.unwrap();
    assert!(gone.unwrap().plugins.is_empty());
    assert_eq!(store.plugin_bytes("ruby", "sha256:a").await.unwrap(), None);
}
