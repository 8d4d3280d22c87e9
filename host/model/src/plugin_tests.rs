//! Which version is in use, whatever happens in whatever order.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::*;

const PLUGIN: &str = "rules";

fn file(path: &str) -> Source {
    Source::Folder { server: "one".to_owned(), path: path.to_owned() }
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

/// Lets a version arrive and carries out what follows.
fn arrive(state: &mut Inventory, kind: &str, digest: &str, number: &str, source: &Source) -> Result<(), OfferRefused> {
    arrive_beside(state, kind, (digest, number), source, |_| None)
}

/// As [`arrive`], where other files of the folder hold what `elsewhere` tells.
fn arrive_beside(
    state: &mut Inventory,
    kind: &str,
    (digest, number): (&str, &str),
    source: &Source,
    elsewhere: impl Fn(&str) -> Option<String>,
) -> Result<(), OfferRefused> {
    let number = version(number);
    let known = state.plugins.get(PLUGIN).is_some_and(|installed| installed.versions.contains_key(digest));
    let add = (!known).then(|| Change::Add {
        plugin: PLUGIN.to_owned(),
        kind: kind.to_owned(),
        digest: digest.to_owned(),
        version: InstalledVersion {
            version: number.clone(),
            source: source.clone(),
            signature: None,
            installed_at: Timestamp::UNIX_EPOCH,
        },
        bytes: Arc::default(),
    });
    let changes = state.arrive(&Offer { plugin: PLUGIN, kind, digest, version: &number, source }, add, elsewhere)?;
    changes.iter().for_each(|change| state.apply(change));
    Ok(())
}

fn depart(state: &mut Inventory, path: &str) {
    state.depart("one", path, |_| None).iter().for_each(|change| state.apply(change));
}

fn activate(state: &mut Inventory, digest: &str) {
    state.apply(&Change::Activate { plugin: PLUGIN.to_owned(), digest: Some(digest.to_owned()) });
}

fn active(state: &Inventory) -> Option<&str> {
    state.plugins.get(PLUGIN)?.active.as_deref()
}

#[test]
fn a_higher_version_comes_into_use_and_a_lower_one_waits() {
    let mut state = Inventory::default();
    arrive(&mut state, "template", "b", "1.1.0", &file("b.wasm")).unwrap();
    arrive(&mut state, "template", "a", "1.0.0", &file("a.wasm")).unwrap();
    assert_eq!(active(&state), Some("b"));
    arrive(&mut state, "template", "c", "1.2.0", &Source::Upload).unwrap();
    assert_eq!(active(&state), Some("c"));
    assert_eq!(state.plugins[PLUGIN].previous.as_deref(), Some("b"));
}

#[test]
fn a_rollback_holds_until_something_higher_arrives() {
    let mut state = Inventory::default();
    arrive(&mut state, "template", "a", "1.0.0", &file("ruby.wasm")).unwrap();
    arrive(&mut state, "template", "b", "1.1.0", &file("ruby.wasm")).unwrap();
    activate(&mut state, "a");
    arrive(&mut state, "template", "b", "1.1.0", &file("ruby.wasm")).unwrap();
    assert_eq!(active(&state), Some("a"), "the same file at the next start");
    assert_eq!(state.plugins[PLUGIN].held_back(), Some((&version("1.0.0"), &version("1.1.0"))));
    arrive(&mut state, "template", "x", "1.0.5", &Source::Upload).unwrap();
    assert_eq!(active(&state), Some("a"), "higher than what runs, and not than what was rolled back");
    arrive(&mut state, "template", "c", "1.1.1", &file("ruby.wasm")).unwrap();
    assert_eq!(active(&state), Some("c"));
    assert_eq!(state.plugins[PLUGIN].held_back(), None);
}

#[test]
fn the_lower_version_is_in_use_again_when_a_stray_higher_one_is_removed() {
    let mut state = Inventory::default();
    arrive(&mut state, "policy", "own", "0.1.0", &file("limits.wasm")).unwrap();
    arrive(&mut state, "policy", "stray", "9.9.9", &file("stray.wasm")).unwrap();
    depart(&mut state, "stray.wasm");
    assert_eq!(active(&state), Some("own"));
    arrive(&mut state, "policy", "next", "0.2.0", &file("limits.wasm")).unwrap();
    assert_eq!(active(&state), Some("next"), "what once was higher holds nothing back");
}

#[test]
fn a_file_that_comes_back_is_in_use_again() {
    let mut state = Inventory::default();
    arrive(&mut state, "template", "b", "1.1.0", &file("ruby.wasm")).unwrap();
    depart(&mut state, "ruby.wasm");
    assert_eq!(active(&state), None);
    arrive(&mut state, "template", "a", "1.0.0", &file("ruby.wasm")).unwrap();
    assert_eq!(active(&state), Some("a"));
    arrive(&mut state, "template", "b", "1.1.0", &file("ruby.wasm")).unwrap();
    assert_eq!(active(&state), Some("b"));
}

#[test]
fn one_version_has_one_digest() {
    let mut state = Inventory::default();
    arrive(&mut state, "template", "a", "1.0.0", &file("ruby.wasm")).unwrap();
    for source in [file("other.wasm"), Source::Upload] {
        let refused = arrive(&mut state, "template", "c", "1.0.0", &source).unwrap_err().to_string();
        assert!(refused.contains("installed is a, offered is c"), "{refused}");
    }
    arrive(&mut state, "template", "b", "1.0.0", &file("ruby.wasm")).expect("the file itself was rebuilt");
    assert_eq!(active(&state), Some("b"));
    assert!(state.plugins[PLUGIN].versions["a"].is_removed(), "there is one 1.0.0");

    let mut state = Inventory::default();
    arrive(&mut state, "template", "a", "1.0.0", &Source::Upload).unwrap();
    arrive(&mut state, "template", "b", "1.0.0", &Source::Upload).expect_err("two uploads");
}

#[test]
fn a_policy_cannot_be_replaced_by_a_template_of_its_name() {
    let mut state = Inventory::default();
    arrive(&mut state, "policy", "a", "1.0.0", &file("limits.wasm")).unwrap();
    let refused = arrive(&mut state, "template", "b", "2.0.0", &file("limits.wasm")).unwrap_err();
    assert!(matches!(refused, OfferRefused::OtherKind { .. }), "{refused}");
}

/// The digest and number of the two versions there are.
const VERSIONS: [(&str, &str); 2] = [("low", "0.1.0"), ("high", "0.2.0")];

/// What can happen to a policy of two versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// A version is written to a file of the folder, in the place of what lies there.
    Write(usize, &'static str),
    /// A file is removed from the folder.
    Delete(&'static str),
    /// A version is installed through the API.
    Install(usize),
    /// An administrator rolls back to a version.
    Rollback(usize),
    /// An administrator uninstalls the plugin.
    Remove,
    /// The server starts again and reads its folder.
    Restart,
}

const EVENTS: [Event; 12] = [
    Event::Write(0, "a.wasm"),
    Event::Write(1, "a.wasm"),
    Event::Write(0, "b.wasm"),
    Event::Write(1, "b.wasm"),
    Event::Delete("a.wasm"),
    Event::Delete("b.wasm"),
    Event::Install(0),
    Event::Install(1),
    Event::Rollback(0),
    Event::Rollback(1),
    Event::Remove,
    Event::Restart,
];

/// The rules, told another way: what is where, and what an administrator holds.
#[derive(Debug, Clone, Default)]
struct Rules {
    folder: BTreeMap<&'static str, usize>,
    /// Installed through the API before any file had it.
    uploaded: BTreeSet<usize>,
    /// What a file had before another version was written to it.
    replaced: BTreeMap<usize, &'static str>,
    hold: Option<usize>,
}

impl Rules {
    fn present(&self) -> BTreeSet<usize> {
        self.folder.values().chain(&self.uploaded).copied().collect()
    }

    fn in_use(&self) -> Option<usize> {
        self.hold.or_else(|| self.present().last().copied())
    }

    /// The file of a version is the first in which it was found, as long as it lies there.
    fn happens(&mut self, event: Event) {
        let before = self.present();
        match event {
            Event::Write(version, path) => {
                if let Some(old) = self.folder.insert(path, version)
                    && old != version
                    && !self.present().contains(&old)
                {
                    self.replaced.insert(old, path);
                }
            }
            Event::Delete(path) => {
                self.folder.remove(path);
                let lost: Vec<_> = self.replaced.iter().filter(|(_, at)| **at == path).map(|(old, _)| *old).collect();
                for old in lost {
                    self.replaced.remove(&old);
                }
            }
            Event::Install(version) => {
                if !before.contains(&version) {
                    self.uploaded.insert(version);
                }
            }
            Event::Rollback(version) => {
                if before.contains(&version) || self.replaced.contains_key(&version) {
                    self.hold = Some(version);
                }
            }
            Event::Remove => *self = Self::default(),
            Event::Restart => {}
        }
        let now = self.present();
        self.replaced.retain(|version, _| !now.contains(version));
        // Something higher than all that was there ends a hold, and so does the loss of what is held.
        let arrived = now.difference(&before).copied().max();
        let rises = arrived.is_some_and(|arrived| now.iter().all(|other| *other <= arrived));
        let is_kept = |held: usize| now.contains(&held) || self.replaced.contains_key(&held);
        if rises || self.hold.is_some_and(|held| !is_kept(held) || now.last() == Some(&held)) {
            self.hold = None;
        }
    }
}

/// The inventory, and the folder it is told of.
#[derive(Debug, Clone, Default)]
struct Server {
    inventory: Inventory,
    folder: BTreeMap<&'static str, usize>,
}

impl Server {
    fn arrive(&mut self, version: usize, source: &Source) {
        let folder = self.folder.clone();
        arrive_beside(&mut self.inventory, "policy", VERSIONS[version], source, |digest| Self::find(&folder, digest))
            .expect("every version has one digest");
    }

    /// The first file that holds these bytes.
    fn find(folder: &BTreeMap<&'static str, usize>, digest: &str) -> Option<String> {
        folder.iter().find(|(_, version)| VERSIONS[**version].0 == digest).map(|(path, _)| (*path).to_owned())
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Write(version, path) => {
                self.folder.insert(path, version);
                self.arrive(version, &file(path));
            }
            Event::Delete(path) => {
                self.folder.remove(path);
                let folder = self.folder.clone();
                let changes = self.inventory.depart("one", path, |digest| Self::find(&folder, digest));
                changes.iter().for_each(|change| self.inventory.apply(change));
            }
            Event::Install(version) => self.arrive(version, &Source::Upload),
            Event::Rollback(version) => {
                let digest = VERSIONS[version].0;
                let installed = self.inventory.plugins.get(PLUGIN);
                if installed.and_then(|i| i.versions.get(digest)).is_some_and(|version| !version.is_removed()) {
                    activate(&mut self.inventory, digest);
                }
            }
            Event::Remove => {
                self.folder.clear();
                self.inventory.apply(&Change::Remove { plugin: PLUGIN.to_owned() });
            }
            Event::Restart => {
                for (path, version) in self.folder.clone() {
                    self.arrive(version, &file(path));
                }
            }
        }
    }
}

#[test]
fn on_every_path_of_four_events_the_highest_version_present_is_in_use_or_a_rollback_holds_another() {
    let mut paths = vec![(Vec::new(), Server::default(), Rules::default())];
    for _ in 0..4 {
        let mut longer = Vec::new();
        for (path, server, rules) in &paths {
            for event in EVENTS {
                let (mut path, mut server, mut rules) = (path.clone(), server.clone(), rules.clone());
                path.push(event);
                server.happens(event);
                rules.happens(event);
                let expected = rules.in_use().map(|version| VERSIONS[version].0);
                assert_eq!(active(&server.inventory), expected, "{path:?}\n{rules:?}\n{:#?}", server.inventory);
                let held = server.inventory.plugins.get(PLUGIN).and_then(Installed::held_back).is_some();
                assert_eq!(held, rules.hold.is_some_and(|held| rules.present().last() > Some(&held)), "{path:?}");
                longer.push((path, server, rules));
            }
        }
        paths = longer;
    }
    assert_eq!(paths.len(), EVENTS.len().pow(4));
}
