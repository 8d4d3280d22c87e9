//! Which package manager an application uses, in which version, and what it installs from.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::Source;

use crate::layout::Layout;

/// pnpm where the application names no version: it reads the lock files of version 9 as well.
const PNPM: &str = "10.34.8";

/// pnpm for lock files that newer ones do not read: the first number of `lockfileVersion`, and the last release that
/// writes it.
const OLD_PNPM: [(u32, &str); 2] = [(6, "8.15.9"), (5, "7.33.7")];

/// The last release of Yarn before version 2.
const YARN_CLASSIC: &str = "1.22.22";

/// Yarn from version 2 where the application names no version: the highest `__metadata.version` of a lock file, and a
/// release that writes it. Each release refuses the lock files of others when it may not change them.
const YARN_BERRY: [(u32, &str); 4] = [(6, "3.8.6"), (8, "4.12.0"), (9, "4.14.1"), (u32::MAX, "4.18.1")];

/// Bun where the application names no version.
const BUN: &str = "1.4.5";

/// Lock files, with the package manager that writes them; of those of one manager, the first is the one it takes.
const LOCKS: [(&str, Name); 6] = [
    ("npm-shrinkwrap.json", Name::Npm),
    ("package-lock.json", Name::Npm),
    ("pnpm-lock.yaml", Name::Pnpm),
    ("yarn.lock", Name::Yarn),
    ("bun.lock", Name::Bun),
    ("bun.lockb", Name::Bun),
];

/// A package manager as `packageManager` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Npm,
    Pnpm,
    Yarn,
    Bun,
}

impl Name {
    const ALL: [Self; 4] = [Self::Npm, Self::Pnpm, Self::Yarn, Self::Bun];

    fn text(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::Yarn => "yarn",
            Self::Bun => "bun",
        }
    }
}

/// A package manager as it is called. Yarn has two command lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is in the image.
    Npm,
    /// Has a store, and links to it.
    Pnpm,
    /// Yarn 1.
    YarnClassic,
    /// Yarn from version 2.
    YarnBerry,
    /// Installs and runs scripts; Node runs the application.
    Bun,
}

/// The package manager of an application.
#[derive(Debug)]
pub(crate) struct Manager {
    /// How it is called.
    pub(crate) kind: Kind,
    /// The version to install in the build; none for the npm of the image.
    pub(crate) version: Option<String>,
    /// The name of the lock file it installs from.
    pub(crate) lock: Option<&'static str>,
    /// Whether it can remove development dependencies.
    pub(crate) can_prune: bool,
    /// What was decided, human-readable.
    pub(crate) notes: Vec<String>,
}

impl Manager {
    /// The name of its program.
    pub(crate) fn program(&self) -> &'static str {
        match self.kind {
            Kind::Npm => "npm",
            Kind::Pnpm => "pnpm",
            Kind::YarnClassic | Kind::YarnBerry => "yarn",
            Kind::Bun => "bun",
        }
    }

    /// What npm installs to have it, such as `pnpm@9.1.0`; none for the npm of the image.
    pub(crate) fn to_install(&self) -> Option<String> {
        let package = match self.kind {
            Kind::YarnBerry => "@yarnpkg/cli-dist",
            _ => self.program(),
        };
        self.version.as_ref().map(|version| format!("{package}@{version}"))
    }
}

/// Decides by `packageManager`, else by the lock file, else for npm.
///
/// # Errors
///
/// Invalid input when lock files contradict each other or `packageManager`, or when that cannot be read.
pub(crate) fn decide(source: &Source, layout: &Layout) -> Result<Manager, PluginError> {
    let locks: Vec<(&str, Name)> = LOCKS.into_iter().filter(|(file, _)| source.has(&layout.in_root(file))).collect();
    let asked = asked_for(layout)?;
    let (name, asked_version) = match (&asked, locks.first()) {
        (Some((name, version)), _) => (*name, Some(version.as_str())),
        (None, None) => (Name::Npm, None),
        (None, Some((_, first))) if locks.iter().all(|(_, name)| name == first) => (*first, None),
        (None, Some((file, _))) => return Err(several_locks(layout, file, &locks)),
    };
    let lock = locks.iter().find(|(_, owner)| *owner == name).map(|(file, _)| *file);
    if let (None, Some((file, _))) = (lock, locks.first()) {
        let tool = name.text();
        return Err(PluginError::invalid_input(
            &place(layout),
            format!(
                "packageManager says {tool} and the source has {} instead of a lock file of {tool}; run `{tool} \
                 install` and commit its lock file, or correct packageManager",
                layout.in_root(file)
            ),
        ));
    }
    let mut manager = versioned(source, layout, name, lock, asked_version)?;
    let version = manager.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    let because = match (asked_version, lock) {
        (Some(_), _) => format!("packageManager of {} says so", layout.in_root("package.json")),
        (None, Some(lock)) => format!("the source has {}", layout.in_root(lock)),
        (None, None) => "the source has no lock file and no packageManager".to_owned(),
    };
    manager.notes.insert(0, format!("Installed by {}{version}: {because}.", name.text()));
    if locks.iter().any(|(_, owner)| *owner != name) {
        let others: Vec<&str> = locks.iter().filter(|(_, owner)| *owner != name).map(|(file, _)| *file).collect();
        manager.notes.push(format!("Ignored, because packageManager decides: {}.", others.join(", ")));
    }
    Ok(manager)
}

fn several_locks(layout: &Layout, path: &str, locks: &[(&str, Name)]) -> PluginError {
    let list: Vec<String> =
        locks.iter().map(|(file, name)| format!("{} of {}", layout.in_root(file), name.text())).collect();
    PluginError::invalid_input(
        &layout.in_root(path),
        format!(
            "the source has lock files of several package managers ({}); keep the one you use and delete the others, or \
             set packageManager in {}",
            list.join(", "),
            layout.in_root("package.json")
        ),
    )
}

fn place(layout: &Layout) -> String {
    format!("{}:packageManager", layout.in_root("package.json"))
}

/// What `packageManager` says, without the hash.
fn asked_for(layout: &Layout) -> Result<Option<(Name, String)>, PluginError> {
    let Some(text) = &layout.installed().package_manager else {
        return Ok(None);
    };
    let refused =
        |why: &str| Err(PluginError::invalid_input(&place(layout), format!("packageManager is `{text}`, and {why}")));
    let Some((name, version)) = text.trim().split_once('@') else {
        return refused("it has no version; write the name and the exact version, such as `pnpm@10.34.8`");
    };
    let Some(name) = Name::ALL.into_iter().find(|known| known.text() == name) else {
        return refused("this template knows npm, pnpm, yarn and bun; use one of these");
    };
    let version = version.split('+').next().unwrap_or_default();
    // Anything else would let npm fetch from an address or a tag that moves.
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    if !version.starts_with(|c: char| c.is_ascii_digit()) || !version.chars().all(allowed) {
        return refused("this is not a version; write the exact one, such as `pnpm@10.34.8`");
    }
    Ok(Some((name, version.to_owned())))
}

fn versioned(
    source: &Source,
    layout: &Layout,
    name: Name,
    lock: Option<&'static str>,
    asked: Option<&str>,
) -> Result<Manager, PluginError> {
    let head = match lock {
        Some(lock) => readable(source, &layout.in_root(lock)),
        None => None,
    };
    let mut notes = Vec::new();
    let or = |default: &str| Some(asked.unwrap_or(default).to_owned());
    let (kind, version, can_prune) = match name {
        Name::Npm => (Kind::Npm, asked.map(str::to_owned), true),
        Name::Pnpm => (Kind::Pnpm, or(pnpm_for(head)), true),
        Name::Bun => (Kind::Bun, or(BUN), true),
        Name::Yarn => {
            let release = release_of_yarn(source, layout);
            let known = asked.or(release);
            let is_berry = match known {
                Some(version) => major(version).is_some_and(|major| major >= 2),
                None => match head {
                    Some(head) => head.contains("__metadata:"),
                    None => source.has(&layout.in_root(".yarnrc.yml")),
                },
            };
            if is_berry {
                notes.push("Dependencies are in node_modules, also where .yarnrc.yml names another linker.".to_owned());
                let version = known.unwrap_or_else(|| berry_for(head));
                // Before version 4 this is a plugin, which cannot be fetched from the registry.
                let plugin = layout.in_root(".yarn/plugins/@yarnpkg/plugin-workspace-tools.cjs");
                let can_prune = major(version).is_some_and(|major| major >= 4) || source.has(&plugin);
                (Kind::YarnBerry, Some(version.to_owned()), can_prune)
            } else {
                (Kind::YarnClassic, Some(known.unwrap_or(YARN_CLASSIC).to_owned()), true)
            }
        }
    };
    if asked.is_some() && layout.installed().package_manager.as_deref().is_some_and(|text| text.contains('+')) {
        notes.push(
            "The hash in packageManager is not checked; npm checks the package by the registry's own.".to_owned(),
        );
    }
    Ok(Manager { kind, version, lock, can_prune, notes })
}

/// The text of a lock file, as far as it was handed over: large ones are not, and one of Bun is not text.
fn readable<'a>(source: &'a Source, path: &str) -> Option<&'a str> {
    source.text(path).ok().flatten()
}

/// `lockfileVersion: '9.0'` stands in the first lines.
fn pnpm_for(lock: Option<&str>) -> &'static str {
    let line = lock.and_then(|text| text.lines().take(20).find_map(|line| line.strip_prefix("lockfileVersion:")));
    let version = line.and_then(|text| major(text.trim().trim_matches(['\'', '"'])));
    OLD_PNPM.into_iter().find(|(old, _)| Some(*old) == version).map_or(PNPM, |(_, release)| release)
}

/// `version: 8` stands indented below `__metadata:`.
fn berry_for(lock: Option<&str>) -> &'static str {
    let text = lock.and_then(|text| text.split_once("__metadata:")).map_or("", |(_, after)| after);
    let line = text.lines().take(5).find_map(|line| line.trim().strip_prefix("version:"));
    let version = line.and_then(|text| major(text.trim())).unwrap_or(u32::MAX);
    YARN_BERRY.into_iter().find(|(highest, _)| version <= *highest).map_or("", |(_, release)| release)
}

/// The version of the release that the source carries as `.yarn/releases/yarn-4.1.0.cjs`. Every Yarn hands over to it.
fn release_of_yarn<'a>(source: &'a Source, layout: &Layout) -> Option<&'a str> {
    let start = layout.in_root(".yarn/releases/yarn-");
    let version = source.paths.iter().find_map(|path| path.strip_prefix(&start)?.strip_suffix(".cjs"))?;
    version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_says_which_release_reads_it() {
        assert_eq!(pnpm_for(Some("lockfileVersion: '9.0'\n\nsettings:\n")), PNPM);
        assert_eq!(pnpm_for(Some("lockfileVersion: '6.0'\n")), "8.15.9");
        assert_eq!(pnpm_for(Some("lockfileVersion: 5.4\n")), "7.33.7");
        assert_eq!(pnpm_for(None), PNPM);
        assert_eq!(berry_for(Some("# x\n\n__metadata:\n  version: 6\n  cacheKey: 8\n")), "3.8.6");
        assert_eq!(berry_for(Some("__metadata:\n  version: 8\n")), "4.12.0");
        assert_eq!(berry_for(Some("__metadata:\n  version: 10\n")), "4.18.1");
        assert_eq!(berry_for(None), "4.18.1");
    }
}
