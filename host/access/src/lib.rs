//! Who is calling, and what they may touch.
//!
//! This room turns what a connection and its headers say into a [`Caller`] with a
//! [`Scope`](convergence_model::Scope), and makes and checks the keys tenants carry, and seals what the database must not read. It is the only room that
//! hands out scopes. It never reads rows: the caller fetches them and brings them here.

pub mod caller;
pub mod development;
pub mod key;
pub mod seal;

pub use caller::{Caller, Role};
pub use key::{KeyRing, KeyVerifier, TenantKey};
pub use seal::{BadRing, OpenError, Place, SealError, Seals};
