//! What makes this installation this one: its master key, its id and its database. They are made together at the first
//! start, and from then on one of them without the others is a reason to stop: a server that began anew would take every
//! tenant that runs for nobody's.
//!
//! A start looks first ([`Found::read`]), decides ([`decide`]), and only then writes ([`Installation::open`]).

mod decision;
mod files;
mod found;
pub(crate) mod keyring;

use std::path::Path;

use anyhow::{Context, Result};
use convergence_store::{Location, Ownership};

pub(crate) use decision::{Start, decide};
pub(crate) use files::{Lock, make_folder};
pub(crate) use found::{Found, key_check};

use files::Kept;

/// The file that is there from the beginning of a first start to its end: what a first start that was cut off made may be
/// made again.
const UNFINISHED: &str = "first-start";
const MASTER_KEY: &str = "master.key";
const ID: &str = "installation";
const SERVER_ID: &str = "server-id";

/// What makes this installation this one.
pub(crate) struct Installation {
    /// Everything secret is derived from it. Without it, no key that a tenant has is recognised any more.
    pub(crate) master: [u8; 32],
    /// On the label of everything of ours in an engine.
    pub(crate) id: String,
    /// Tells this data folder from those of other servers on the same database.
    pub(crate) server: String,
}

impl Installation {
    /// Reads the master key and the id; a first start makes them, and the folder. Only once [`decide`] allowed it.
    ///
    /// # Errors
    /// The folder cannot be written, or what was found is not there any more.
    pub(crate) fn open(data: &Path, start: Start) -> Result<Self> {
        if start == Start::First {
            files::make_folder(data)?;
            files::mark(&data.join(UNFINISHED))?;
            files::make_missing::<32>(&data.join(MASTER_KEY))?;
            files::make_missing::<16>(&data.join(ID))?;
        }
        // Another server of the same installation has one of its own.
        files::make_missing::<16>(&data.join(SERVER_ID))?;
        Ok(Self {
            master: files::require(&data.join(MASTER_KEY))?,
            id: files::hexadecimal(files::require(&data.join(ID))?),
            server: files::hexadecimal(files::require(&data.join(SERVER_ID))?),
        })
    }

    /// Reads the master key and the id, and changes nothing.
    ///
    /// # Errors
    /// A file is missing, or cannot be used.
    pub(crate) fn read(data: &Path) -> Result<Self> {
        let server = match files::read(&data.join(SERVER_ID)) {
            Kept::Present(id) => files::hexadecimal(id),
            _ => "none yet".to_owned(),
        };
        Ok(Self {
            master: files::require(&data.join(MASTER_KEY))?,
            id: files::hexadecimal(files::require(&data.join(ID))?),
            server,
        })
    }

    /// Says that the database is this installation's from now on: the first start is over.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) fn settled(data: &Path) -> Result<()> {
        files::unmark(&data.join(UNFINISHED))
    }
}

impl Found {
    /// Looks at the data folder and the database, and changes nothing. What cannot be read is part of the answer.
    pub(crate) async fn read(data: &Path, location: &str) -> Self {
        let database = Ownership::read(location).await.into();
        Self {
            folder: files::folder(data),
            master: files::read(&data.join(MASTER_KEY)).map(|key| found::key_check(&key)),
            id: files::read(&data.join(ID)).map(files::hexadecimal),
            server: files::read::<16>(&data.join(SERVER_ID)).map(drop),
            unfinished: !matches!(files::read::<0>(&data.join(UNFINISHED)), Kept::Absent),
            database,
        }
    }
}

/// The file that a server locks so that no other one works on the same database file or, with PostgreSQL, data folder.
///
/// # Errors
/// The location names no database.
pub(crate) fn guarded(data: &Path, location: &str) -> Result<std::path::PathBuf> {
    Ok(match Location::parse(location).context("`database` in the configuration, or DATABASE_URL, is wrong")? {
        Location::File(path) => path.to_owned(),
        // Several servers share it, and each has a data folder of its own.
        Location::Server(_) => data.join("server"),
    })
}

/// A database's location without its password.
pub(crate) fn shown(location: &str) -> String {
    match (location.find("://"), location.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            format!("{}://…{}", location.get(..scheme).unwrap_or(""), location.get(at..).unwrap_or(""))
        }
        _ => location.to_owned(),
    }
}

#[cfg(test)]
mod tests;
