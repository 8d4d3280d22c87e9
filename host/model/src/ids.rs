//! Identifiers. The integers are what clients see; the UUIDs (version 7) are what rows are keyed by.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! integer_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

integer_id! {
    /// An organization, as clients know it.
    OrgId
}
integer_id! {
    /// A tenant, as clients know it: `envId` on the wire.
    EnvId
}
integer_id! {
    /// The number of a revision within its tenant, from 1.
    RevisionNumber
}
uuid_id! {
    /// A tenant's row; never shown to clients.
    TenantId
}
uuid_id! {
    /// An operation; clients see it in the URL to watch.
    OperationId
}

/// Where ids come from. A parameter, so that tests can bring their own.
pub trait Ids: Send + Sync + fmt::Debug {
    /// A new time-ordered UUID (version 7, RFC 9562).
    fn uuid(&self) -> Uuid;
}

/// Where time comes from. A parameter, so that tests can bring their own.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present moment.
    fn now(&self) -> jiff::Timestamp;
}
