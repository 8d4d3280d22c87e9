//! Which tenant a folder is deployed to: kept in the folder itself, under `.convergence`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::exit::Failure;

/// The folder of ours in an application's.
pub(super) const FOLDER: &str = ".convergence";

/// The tenant that a folder is deployed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Remembered {
    pub(super) env_id: i64,
    pub(super) name: String,
}

/// Tenants by the server that they are on.
type Tenants = BTreeMap<String, Remembered>;

impl Remembered {
    /// The tenant on this server, if the folder was deployed there.
    ///
    /// # Errors
    /// What is kept cannot be read.
    pub(super) fn read(folder: &Path, server: &str) -> Result<Option<Self>, Failure> {
        Ok(tenants(folder)?.remove(server))
    }

    /// Keeps it.
    ///
    /// # Errors
    /// The folder cannot be written; why, and what to do next time.
    pub(super) fn write(self, folder: &Path, server: &str) -> Result<(), String> {
        // What cannot be read was told when it was to be read.
        let mut tenants = tenants(folder).unwrap_or_default();
        if tenants.get(server) == Some(&self) {
            return Ok(());
        }
        tenants.insert(server.to_owned(), self);
        let (path, ours) = (path(folder), folder.join(FOLDER));
        let write = || -> io::Result<()> {
            fs::create_dir_all(&ours)?;
            // It says where one developer deploys to, which is nobody else's business.
            fs::write(ours.join(".gitignore"), "*\n")?;
            let beside = ours.join("tenants.json.new");
            fs::write(&beside, serde_json::to_string_pretty(&tenants)? + "\n")?;
            fs::rename(beside, &path)
        };
        let shown = path.display();
        write().map_err(|error| format!("cannot write {shown} ({error}): name the tenant with --name next time"))
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join(FOLDER).join("tenants.json")
}

fn tenants(folder: &Path) -> Result<Tenants, Failure> {
    let path = path(folder);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Tenants::new()),
        read => read.map_err(|error| Failure::Failed(format!("cannot read {}: {error}", path.display())))?,
    };
    serde_json::from_str(&text).map_err(|error| {
        Failure::Failed(format!("cannot read {}: {error}; remove it, and name the tenant with --name", path.display()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_remembers_one_tenant_for_each_server() {
        let folder = tempfile::tempdir().unwrap();
        let one = Remembered { env_id: 1, name: "one".to_owned() };
        let two = Remembered { env_id: 2, name: "two".to_owned() };
        assert_eq!(Remembered::read(folder.path(), "a").unwrap(), None);
        one.clone().write(folder.path(), "a").unwrap();
        two.clone().write(folder.path(), "b").unwrap();
        assert_eq!(Remembered::read(folder.path(), "a").unwrap(), Some(one));
        assert_eq!(Remembered::read(folder.path(), "b").unwrap(), Some(two));
        fs::write(path(folder.path()), "{").unwrap();
        assert!(Remembered::read(folder.path(), "a").is_err());
    }
}
