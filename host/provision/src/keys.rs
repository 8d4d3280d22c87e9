//! The keys of an installation, and what the database tells of them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use convergence_access::{BadRing, KeyRing, Place, SealError, Seals};
use convergence_model::{Sealed, SealingKeyId, Secret};
use convergence_store::{Store, StoreError};
use jiff::Timestamp;

/// The keys of an installation.
#[derive(Debug)]
pub struct Keys {
    /// What tenants' keys are derived from.
    pub tenants: KeyRing,
    /// What secrets are sealed with.
    pub seals: Seals,
    /// Where those keys are kept.
    pub ring: Arc<dyn RingSource>,
}

/// Where a key ring is kept, outside of the database.
pub trait RingSource: Send + Sync + fmt::Debug {
    /// The ring as text.
    ///
    /// # Errors
    /// It cannot be read; human-readable.
    fn read(&self) -> Result<Secret, String>;

    /// Adds a line. It stays there whatever happens to the machine after this returns.
    ///
    /// # Errors
    /// It cannot be added; human-readable, with what to do.
    fn add(&self, line: &Secret) -> Result<(), String>;

    /// Whether a line can be added at all; human-readable where it cannot, with what to do.
    ///
    /// # Errors
    /// It cannot.
    fn can_add(&self) -> Result<(), String>;
}

/// A ring that ends with the process: for tests.
#[doc(hidden)]
#[derive(Debug)]
pub struct MemoryRing(Mutex<Secret>);

impl MemoryRing {
    /// One with a key.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new() -> Result<Self, SealError> {
        Seals::generate().map(|line| Self(Mutex::new(line)))
    }

    /// The keys of a server that has this ring.
    ///
    /// # Errors
    /// It is no ring.
    pub fn keys(self: &Arc<Self>, tenants: KeyRing) -> Result<Keys, BadRing> {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Keys { tenants, seals: Seals::parse(text.expose())?, ring: Arc::clone(self) as Arc<dyn RingSource> })
    }
}

impl RingSource for MemoryRing {
    fn read(&self) -> Result<Secret, String> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn add(&self, line: &Secret) -> Result<(), String> {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *ring = Secret::new(format!("{}{}", ring.expose(), line.expose()));
        Ok(())
    }

    fn can_add(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Why a key ring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be read.
    #[error("the key ring cannot be read: {0}")]
    Unreadable(String),
    /// It is no ring.
    #[error("the key ring is wrong: {0}")]
    Bad(#[from] BadRing),
    /// A key cannot be added to it.
    #[error("no key can be added to the key ring: {0}")]
    Fixed(String),
    /// A value cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A key of the database is not in the ring.
    #[error(
        "key {id}, which sealed {values} values in the database, is not in the key ring; restore `keyring` from a backup, or copy it from another server of this installation"
    )]
    Missing {
        /// Which key.
        id: SealingKeyId,
        /// How many values it sealed.
        values: u64,
    },
    /// A key of the ring has the id of another one.
    #[error(
        "key {0} of the key ring is not the key of that id that the database was used with; restore `keyring` from a backup, or copy it from another server of this installation"
    )]
    Another(SealingKeyId),
}

/// What every server knows.
const PROOF: &str = "convergence";

/// Holds a ring against the database: every key that sealed something and was not retired is in it, and is the same. Changes
/// nothing.
///
/// # Errors
/// [`RingError`].
pub async fn check_ring(seals: &Seals, store: &Store) -> Result<(), RingError> {
    let held = seals.ids();
    for key in store.sealing_keys().await? {
        if !held.contains(&key.id) {
            return Err(RingError::Missing { id: key.id, values: key.values });
        }
        let sealed = Sealed { key: key.id.clone(), bytes: key.proof };
        if seals.open(proof_of(&key.id), &sealed).map(|text| text.expose() == PROOF) != Ok(true) {
            return Err(RingError::Another(key.id));
        }
    }
    Ok(())
}

impl Keys {
    /// Holds the ring against the database, and tells the database of the key that seals from now on.
    ///
    /// # Errors
    /// [`RingError`]; then the database is as before.
    pub async fn hold_against(&self, store: &Store, now: Timestamp) -> Result<(), RingError> {
        check_ring(&self.seals, store).await?;
        announce(&self.seals, store, now).await
    }

    /// Reads the ring again: another server, or an operator, may have added a key. A ring that lacks a key which is needed is not
    /// taken, and the database knows of its newest key before that seals anything.
    pub(crate) async fn reload(&self, store: &Store, now: Timestamp) -> Result<(), RingError> {
        let ring = Arc::clone(&self.ring);
        let text = on_a_thread(move || ring.read()).await.map_err(RingError::Unreadable)?;
        let fresh = Seals::parse(text.expose())?;
        check_ring(&fresh, store).await?;
        announce(&fresh, store, now).await?;
        Ok(self.seals.replace(text.expose())?)
    }

    /// Adds a key, which seals from then on.
    pub(crate) async fn add(&self, store: &Store, now: Timestamp) -> Result<SealingKeyId, RingError> {
        check_ring(&self.seals, store).await?;
        let (ring, line) = (Arc::clone(&self.ring), Seals::generate()?);
        on_a_thread(move || ring.add(&line)).await.map_err(RingError::Fixed)?;
        self.reload(store, now).await?;
        Ok(self.seals.newest())
    }
}

/// Tells the database of the key that seals.
async fn announce(seals: &Seals, store: &Store, now: Timestamp) -> Result<(), RingError> {
    let proof = seals.seal(proof_of(&seals.newest()), &Secret::new(PROOF))?;
    match store.add_sealing_key(&proof, &seals.ids(), now).await? {
        None => Ok(()),
        Some(id) => Err(RingError::Missing { id, values: 0 }),
    }
}

fn proof_of(key: &SealingKeyId) -> Place<'_> {
    Place { column: "sealing_keys.proof", owner: "", name: key.as_str(), version: 1 }
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
}
