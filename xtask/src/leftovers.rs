//! What the product has left with the container engine: everything that carries its instance label.

use std::collections::BTreeSet;
use std::fmt;
use std::process::Command;

use anyhow::{Result, bail};

use crate::command;

/// The label on everything a server makes.
const INSTANCE: &str = "convergence.instance";

/// The label on starter images, which a server builds ahead and keeps.
const STARTER: &str = "convergence.starter";

/// One thing of ours in the engine. The order is the order in which they can be removed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Leftover {
    kind: Kind,
    /// What removes it: an id for containers, networks and images, a name for volumes.
    id: String,
    /// What a person knows it by.
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Container,
    Network,
    Volume,
    Image,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Container, Self::Network, Self::Volume, Self::Image];

    fn word(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Image => "image",
        }
    }

    /// How `docker <kind> ls` prints an id and a name.
    fn format(self) -> &'static str {
        match self {
            Self::Container => "{{.ID}} {{.Names}}",
            Self::Network => "{{.ID}} {{.Name}}",
            Self::Volume => "{{.Name}} {{.Name}}",
            Self::Image => "{{.ID}} {{.Repository}}:{{.Tag}}",
        }
    }
}

impl fmt::Display for Leftover {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} ({})", self.kind.word(), self.name, self.id)
    }
}

/// Everything of ours in the engine now, pre-built starters apart.
pub(crate) fn find() -> Result<BTreeSet<Leftover>> {
    let mut found = labelled(INSTANCE)?;
    let starters = list(Kind::Image, STARTER)?;
    found.retain(|leftover| !starters.contains(leftover));
    Ok(found)
}

/// Everything of ours, starters included.
pub(crate) fn find_all() -> Result<BTreeSet<Leftover>> {
    let mut found = labelled(INSTANCE)?;
    found.extend(list(Kind::Image, STARTER)?);
    Ok(found)
}

/// Fails if something of ours is there that was not there `before`.
pub(crate) fn check(before: &BTreeSet<Leftover>) -> Result<()> {
    let now = find()?;
    let fresh: Vec<String> = now.difference(before).map(|leftover| format!("  {leftover}")).collect();
    if !fresh.is_empty() {
        bail!(
            "the tests left this behind with the engine (`cargo xtask clean --yes` removes it):\n{}",
            fresh.join("\n")
        );
    }
    println!("    nothing of ours was left behind");
    Ok(())
}

/// Removes one thing.
pub(crate) fn remove(leftover: &Leftover) -> Result<()> {
    println!("    removing {leftover}");
    let mut command = Command::new("docker");
    command.args([leftover.kind.word(), "rm"]);
    match leftover.kind {
        Kind::Container => {
            command.args(["--force", "--volumes"]);
        }
        Kind::Image => {
            command.arg("--force");
        }
        Kind::Network | Kind::Volume => {}
    }
    command::capture(command.arg(&leftover.id)).map(drop)
}

fn labelled(label: &str) -> Result<BTreeSet<Leftover>> {
    let mut found = BTreeSet::new();
    for kind in Kind::ALL {
        found.extend(list(kind, label)?);
    }
    Ok(found)
}

fn list(kind: Kind, label: &str) -> Result<BTreeSet<Leftover>> {
    let mut command = Command::new("docker");
    command.args([kind.word(), "ls", "--filter"]).arg(format!("label={label}")).args(["--format", kind.format()]);
    if kind == Kind::Container {
        command.arg("--all");
    }
    let printed = command::capture(&mut command)?;
    let leftover = |line: &str| {
        let (id, name) = line.split_once(' ')?;
        Some(Leftover { kind, id: id.to_owned(), name: name.to_owned() })
    };
    Ok(printed.lines().filter_map(leftover).collect())
}
