//! Whether a server starts with what it found. Pure: no file, no database.

use std::path::Path;

use super::files::Kept;
use super::found::{Database, Found};

/// How a server starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Nothing is there yet, or a first start was cut off: what is missing is made.
    First,
    /// Everything is there and belongs together.
    Again,
}

/// Why a server does not start. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A folder or a file cannot be used; the reason says what to do.
    Unusable(String),
    /// It cannot be told whose the database is.
    DatabaseUnreadable(String),
    /// The database is another program's.
    DatabaseForeign { table: String },
    /// The files are there and the database is not.
    DatabaseLost { id: String },
    /// The database is another installation's.
    DatabaseOfAnother { own: String, other: String },
    /// The database is there and the files are not.
    FilesLost { id: String },
    /// Only `installation` is missing. The database knows what was in it, if it is this one.
    IdLost { from_database: Option<String> },
    /// Only `master.key` is missing.
    KeyLost { id: String },
    /// The database was made with another master key.
    KeyOfAnother { id: String },
}

/// Whether to start, and how. Of what belongs together, either everything is there or nothing is: a part that is missing is
/// never made anew, for the tenants that run are known by the old one.
pub(crate) fn decide(found: &Found) -> Result<Start, Refusal> {
    let files =
        [&found.folder.clone().map(drop), &found.master.clone().map(drop), &found.id.clone().map(drop), &found.server];
    for file in files {
        if let Kept::Unusable(reason) = file {
            return Err(Refusal::Unusable(reason.clone()));
        }
    }
    let master = if let Kept::Present(check) = &found.master { Some(check) } else { None };
    let id = if let Kept::Present(id) = &found.id { Some(id) } else { None };
    match (&found.database, master, id) {
        (Database::Unreadable(reason), ..) => Err(Refusal::DatabaseUnreadable(reason.clone())),
        (Database::Foreign { table }, ..) => Err(Refusal::DatabaseForeign { table: table.clone() }),
        (Database::Empty, ..) if found.unfinished => Ok(Start::First),
        (Database::Empty, None, None) => Ok(Start::First),
        (Database::Empty, Some(_), Some(id)) => Err(Refusal::DatabaseLost { id: id.clone() }),
        (Database::Empty, Some(_), None) => Err(Refusal::IdLost { from_database: None }),
        (_, None, Some(id)) => Err(Refusal::KeyLost { id: id.clone() }),
        (Database::Of { id, .. }, None, None) => Err(Refusal::FilesLost { id: id.clone() }),
        (Database::Of { id, key_check }, Some(check), None) => {
            Err(Refusal::IdLost { from_database: (check == key_check).then(|| id.clone()) })
        }
        (Database::Of { id: other, .. }, Some(_), Some(own)) if other != own => {
            Err(Refusal::DatabaseOfAnother { own: own.clone(), other: other.clone() })
        }
        (Database::Of { id, key_check }, Some(check), Some(_)) if check != key_check => {
            Err(Refusal::KeyOfAnother { id: id.clone() })
        }
        (Database::Of { .. }, Some(_), Some(_)) => Ok(Start::Again),
    }
}

impl Refusal {
    /// What was found, and what to do. `database` is shown as it is given: without a password.
    pub(crate) fn explain(&self, data: &Path, database: &str) -> String {
        let data = data.display();
        let text = match self {
            Self::Unusable(reason) => reason.clone(),
            Self::DatabaseUnreadable(reason) => format!("cannot open the database {database}: {reason}"),
            Self::DatabaseForeign { table } => format!(
                "the database {database} holds the tables of another program (for example `{table}`). Check `database` in \
                 the configuration and DATABASE_URL; a new installation needs an empty database"
            ),
            Self::DatabaseLost { id } => format!(
                "the data folder {data} belongs to installation {id}, and the database {database} is empty or not there. \
                 Check `database` in the configuration and DATABASE_URL, or restore the database from a backup. To begin a new \
                 installation, name a new `data-dir`: the tenants of {id} stay in the engine"
            ),
            Self::DatabaseOfAnother { own, other } => format!(
                "the data folder {data} belongs to installation {own}, and the database {database} to installation {other}. \
                 Check `data-dir` and `database` in the configuration and DATABASE_URL: both must be of one installation"
            ),
            Self::FilesLost { id } => format!(
                "the database {database} belongs to installation {id}, and `master.key` and `installation` are missing in the \
                 data folder {data}. Check `data-dir` in the configuration, restore both files from a backup (or, for one more \
                 server of {id}, copy them from another one), or name an empty database for a new installation"
            ),
            Self::IdLost { from_database: Some(id) } => format!(
                "{data}/installation is missing; restore it from a backup. It holds the id {id} as 16 bytes: \
                 `(umask 077; echo {id} | xxd -r -p > {data}/installation)` makes it again"
            ),
            Self::IdLost { from_database: None } => format!(
                "{data}/installation is missing, and `master.key` beside it is not that of the database {database}; restore \
                 `installation`, and check `data-dir` and `database` in the configuration and DATABASE_URL. For a new \
                 installation name a new `data-dir`"
            ),
            Self::KeyLost { id } => format!(
                "{data}/master.key of installation {id} is missing; restore it from a backup. A new key would not open what \
                 the old one did: the keys of all tenants are derived from it"
            ),
            Self::KeyOfAnother { id } => format!(
                "{data}/master.key is not the key with which installation {id} made the database {database}; the keys of all \
                 tenants are derived from that one. Restore `master.key` from a backup"
            ),
        };
        format!("{text}. Nothing was changed")
    }
}
