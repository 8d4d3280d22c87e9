//! The rules of the house that no compiler checks. Each complaint names the file, the rule and what to do.

mod files;
mod releases;
mod rooms;
mod words;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::workspace::Workspace;
use crate::{command, images};

/// One thing that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// Where: a path from the top of the repository.
    place: String,
    /// What is wrong, and what to do.
    what: String,
}

impl Complaint {
    fn new(place: impl fmt::Display, what: impl Into<String>) -> Self {
        Self { place: place.to_string(), what: what.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.what)
    }
}

/// The chore: fails with every complaint there is.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let complaints = check(workspace)?;
    if complaints.is_empty() {
        println!("    tidy");
        return Ok(());
    }
    let lines: Vec<String> = complaints.iter().map(|complaint| format!("  {complaint}")).collect();
    bail!("{} things are not tidy:\n{}", complaints.len(), lines.join("\n"));
}

/// Every complaint about this workspace.
fn check(workspace: &Workspace) -> Result<Vec<Complaint>> {
    let mut complaints = rooms::check(workspace);
    let paths = files(workspace.root())?;
    for path in &paths {
        complaints.extend(files::check_name(path));
        // Binary files have no text to check.
        let Ok(text) = fs::read_to_string(workspace.root().join(path)) else { continue };
        complaints.extend(files::check_text(path, &text));
        complaints.extend(words::check(path, &text));
        if path.extension().is_some_and(|extension| extension == "md") {
            complaints.extend(files::check_links(workspace.root(), path, &text));
        }
        if path.starts_with("plugins/templates") {
            let unknown = files::default_image(&text).filter(|image| !images::prepares(image));
            complaints.extend(unknown.map(|image| {
                let what =
                    format!("its default image {image} is not prepared: add it to WANTED in xtask/src/images.rs");
                Complaint::new(path.display(), what)
            }));
        }
    }
    complaints.extend(check_migrations(&paths));
    complaints.extend(releases::check(workspace.root())?);
    Ok(complaints)
}

/// Every file that belongs to the repository, those not committed yet included.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut list = Command::new("git");
    list.current_dir(root).args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    let listed = command::capture(&mut list)?;
    let paths = listed.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from);
    Ok(paths.filter(|path| root.join(path).is_file()).collect())
}

/// Both engines have the same migrations: same numbers, same names.
fn check_migrations(paths: &[PathBuf]) -> Vec<Complaint> {
    let of = |engine: &str| {
        let folder = Path::new("migrations").join(engine);
        let names = paths.iter().filter_map(move |path| path.strip_prefix(&folder).ok().map(Path::to_owned));
        names.collect::<std::collections::BTreeSet<PathBuf>>()
    };
    let (sqlite, postgres) = (of("sqlite"), of("postgres"));
    let alone = sqlite.symmetric_difference(&postgres);
    alone
        .map(|name| {
            Complaint::new(
                format!("migrations/*/{}", name.display()),
                "exists for one database only: write its twin under the same name",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_tidy() -> Result<()> {
        run(&Workspace::find()?)
    }

    #[test]
    fn a_migration_without_a_twin_is_found() {
        let paths = [
            "migrations/sqlite/0001_start.sql",
            "migrations/postgres/0001_start.sql",
            "migrations/sqlite/0002_more.sql",
        ];
        let complaints = check_migrations(&paths.map(PathBuf::from));
        assert_eq!(complaints.len(), 1);
        assert!(complaints.iter().all(|complaint| complaint.place.ends_with("0002_more.sql")));
    }
}
