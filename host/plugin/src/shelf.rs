//! Where the inventory is kept.

use convergence_model::plugin::{Change, Inventory};
use convergence_store::{Store, StoreError};
use jiff::Timestamp;

/// Where the inventory is kept.
#[derive(Debug, Clone)]
pub enum Shelf {
    /// The database, which several servers may share.
    Database(Store),
    /// As in the database, with changes that nobody else sees and that are forgotten: for looking at what would be.
    Draft(Store),
    /// Nowhere: what is installed is what lies in the folder.
    Memory,
}

impl Shelf {
    pub(crate) async fn inventory(&self) -> Result<Inventory, StoreError> {
        match self {
            Self::Database(store) | Self::Draft(store) => store.plugin_inventory().await,
            Self::Memory => Ok(Inventory::default()),
        }
    }

    /// Another number than that of the inventory in hand means that somebody else changed it.
    pub(crate) async fn seq(&self, in_hand: i64) -> Result<i64, StoreError> {
        match self {
            Self::Database(store) => store.plugin_inventory_seq().await,
            Self::Draft(_) | Self::Memory => Ok(in_hand),
        }
    }

    pub(crate) async fn bytes(&self, plugin: &str, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Self::Database(store) | Self::Draft(store) => store.plugin_bytes(plugin, digest).await,
            Self::Memory => Ok(None),
        }
    }

    pub(crate) async fn is_pinned(&self, digest: &str) -> Result<bool, StoreError> {
        match self {
            Self::Database(store) | Self::Draft(store) => store.plugin_is_pinned(digest).await,
            Self::Memory => Ok(false),
        }
    }

    /// Carries changes out; None when somebody else changed something since `before` was read.
    pub(crate) async fn change(
        &self,
        before: &Inventory,
        changes: &[Change],
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<Inventory>, StoreError> {
        match self {
            Self::Database(store) => store.change_plugins(before, changes, actor, now).await,
            Self::Draft(_) | Self::Memory => {
                let mut after = before.clone();
                changes.iter().for_each(|change| after.apply(change));
                Ok(Some(after))
            }
        }
    }
}
