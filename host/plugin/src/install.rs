//! How a component comes to be installed: from the folder, or handed over by somebody.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use convergence_model::plugin::{Change, InstalledVersion, Inventory, Offer, Source};
use convergence_sandbox::{Component, Kind};
use semver::Version;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::catalogue::Catalogue;
use crate::examine::{Examiner, Rejected};
use crate::folder::{Contents, Look};
use crate::oci::{self, Pulled, Reference, RegistryError};
use crate::registry::Found;
use crate::trust;
use crate::workbench::{ChangeError, Workbench};

/// Who is named in the audit for what the folder asks for.
const FOLDER_ACTOR: &str = "plugins-folder";

/// A component that turned up in the folder and was looked at.
struct Candidate {
    path: PathBuf,
    finding: Finding,
}

enum Finding {
    /// It is installed already.
    Known { plugin: String, kind: Option<Kind>, version: Version, digest: String },
    /// It passed every check.
    Sound(Box<Sound>),
    /// It did not.
    Rejected(Rejected),
}

/// A component that passed every check, and what came with it.
struct Sound {
    component: Component,
    bytes: Arc<[u8]>,
    signature: Option<String>,
}

/// What became of a component that was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The plugin's id.
    pub plugin: String,
    /// The version that was handed over.
    pub version: Version,
    /// `sha256:…` of its bytes.
    pub digest: String,
    /// Whether it came into use. It does not where a higher version is installed.
    pub active: bool,
    /// Whether it was installed before.
    pub known: bool,
}

/// Why a component that was handed over was not installed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// It failed a check.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// It is at odds with what is installed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// It could not be fetched.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl Catalogue {
    /// Installs a component that somebody handed over. It comes into use at once, unless a higher version of it is
    /// installed.
    ///
    /// # Errors
    /// It fails a check, or is at odds with what is installed.
    pub async fn install(
        &self,
        bytes: Vec<u8>,
        signature: Option<String>,
        source: Source,
        actor: &str,
    ) -> Result<Outcome, InstallError> {
        let examiner = Examiner { sandbox: &self.sandbox, trust: &self.trust };
        let (component, bytes) = examiner.examine(bytes, signature.as_deref(), self.clock.now()).await?;
        let description = component.description();
        let (plugin, version) = (description.id.clone(), description.version.clone());
        let digest = component.digest().to_owned();
        let mut work = self.work.lock().await;
        let known = is_known(&work.inventory, &plugin, &digest, signature.as_ref());
        let sound = Sound { component, bytes: bytes.into(), signature };
        self.take_in(&mut work, &sound, &source, actor).await?;
        let active = work.inventory.plugins.get(&plugin).is_some_and(|i| i.active.as_ref() == Some(&digest));
        self.tidy(&mut work, actor).await;
        self.publish(&work);
        Ok(Outcome { plugin, version, digest, active, known })
    }

    /// Fetches a component from a registry and installs it.
    ///
    /// # Errors
    /// It cannot be fetched, fails a check, or is at odds with what is installed.
    pub async fn install_from(&self, reference: &Reference, actor: &str) -> Result<Outcome, InstallError> {
        let Pulled { bytes, signature, .. } = oci::pull(reference, &self.registries).await?;
        self.install(bytes, signature, Source::Registry { reference: reference.to_string() }, actor).await
    }

    /// Looks at the folder for the first time: what lies there need not come to rest, and what was removed while no
    /// server ran is noticed.
    pub(crate) async fn look_at_once(&self) {
        let look = self.work.lock().await.folder.look(true);
        let sure = look.problems.is_empty();
        self.carry_out(look).await;
        if !sure {
            return;
        }
        let mut work = self.work.lock().await;
        let ours = |source: &Source| match source {
            Source::Folder { server, path } if *server == work.server => Some(PathBuf::from(path)),
            _ => None,
        };
        let versions = work.inventory.plugins.values().flat_map(|installed| installed.versions.values());
        let gone: BTreeSet<PathBuf> = versions.filter_map(|version| ours(&version.source)).collect();
        let gone: Vec<_> = gone.into_iter().filter(|path| !work.folder.has_seen(path)).collect();
        for path in gone {
            self.take_out(&mut work, &path).await;
        }
        self.publish(&work);
    }

    /// Looks at the folder again; tells when to look next.
    pub(crate) async fn look(&self) -> Duration {
        let look = {
            let mut work = self.work.lock().await;
            let look = work.folder.look(false);
            if look.changed.is_empty() && look.gone.is_empty() && look.problems == work.folder_problems {
                return look.pace();
            }
            look
        };
        let pace = look.pace();
        self.carry_out(look).await;
        pace
    }

    async fn carry_out(&self, look: Look) {
        let Look { changed, gone, problems, .. } = look;
        // Compiling takes seconds: other changes need not wait for it.
        let candidates = self.examine_files(changed).await;
        let mut work = self.work.lock().await;
        work.folder_problems = problems;
        let disputed = disputed(&candidates, &work.inventory);
        for Candidate { path, finding } in in_order(candidates) {
            let found = match finding {
                Finding::Known { plugin, kind, version, digest } => {
                    let revived = self.revive(&mut work, &plugin, &version, &digest, &path).await;
                    let verdict = revived.map(|()| digest).map_err(|error| self.failed(&mut work, &path, &error));
                    Found { kind, plugin: Some((plugin, version)), verdict }
                }
                Finding::Rejected(Rejected { kind, plugin, reason }) => Found { kind, plugin, verdict: Err(reason) },
                Finding::Sound(sound) => {
                    let description = sound.component.description();
                    let (id, version) = (description.id.clone(), description.version.clone());
                    let verdict = if disputed.contains(&id) {
                        Err(format!(
                            "a template and a policy both have the id `{id}`; give one of them another id, or remove it"
                        ))
                    } else {
                        let source = folder_source(&work, &path);
                        let taken = self.take_in(&mut work, &sound, &source, FOLDER_ACTOR).await;
                        taken.map_err(|error| self.failed(&mut work, &path, &error))
                    };
                    let verdict = verdict.map(|()| sound.component.digest().to_owned());
                    Found { kind: Some(sound.component.kind()), plugin: Some((id, version)), verdict }
                }
            };
            match (&found.plugin, &found.verdict) {
                (_, Err(reason)) => {
                    tracing::warn!(target: "plugin", file = %path.display(), reason, "a file of the plugins folder was rejected");
                }
                (Some((plugin, version)), Ok(digest)) => {
                    tracing::info!(target: "plugin", file = %path.display(), plugin, %version, digest, "a file of the plugins folder is installed");
                }
                (None, Ok(_)) => {}
            }
            work.files.insert(path, found);
        }
        for path in gone {
            work.files.remove(&path);
            self.take_out(&mut work, &path).await;
        }
        self.tidy(&mut work, FOLDER_ACTOR).await;
        self.publish(&work);
    }

    /// Says why a file was not taken in. One that failed for reasons of the database's is looked at again.
    fn failed(&self, work: &mut Workbench, path: &Path, error: &ChangeError) -> String {
        if matches!(error, ChangeError::Store(_) | ChangeError::Contended) {
            work.folder.forget(path);
        }
        error.to_string()
    }

    /// Installs what passed every check.
    async fn take_in(
        &self,
        work: &mut Workbench,
        sound: &Sound,
        source: &Source,
        actor: &str,
    ) -> Result<(), ChangeError> {
        let component = &sound.component;
        let (description, digest) = (component.description(), component.digest());
        work.lay_out(component.clone());
        let now = self.clock.now();
        let elsewhere = copies(work, source_path(source));
        work.change(actor, now, |inventory| {
            let offer = Offer {
                plugin: &description.id,
                kind: component.kind().as_str(),
                digest,
                version: &description.version,
                source,
            };
            let add = || Change::Add {
                plugin: description.id.clone(),
                kind: component.kind().as_str().to_owned(),
                digest: digest.to_owned(),
                version: InstalledVersion {
                    version: description.version.clone(),
                    source: source.clone(),
                    signature: sound.signature.clone(),
                    installed_at: now,
                },
                bytes: Arc::clone(&sound.bytes),
            };
            let known = is_known(inventory, &description.id, digest, sound.signature.as_ref());
            let changes = inventory.arrive(&offer, (!known).then(add), |digest| elsewhere(digest));
            changes.map_err(|refused| ChangeError::Refused(refused.to_string()))
        })
        .await
    }

    /// A file was found whose bytes are installed already.
    async fn revive(
        &self,
        work: &mut Workbench,
        plugin: &str,
        version: &Version,
        digest: &str,
        path: &Path,
    ) -> Result<(), ChangeError> {
        let source = folder_source(work, path);
        let elsewhere = copies(work, Some(path));
        work.change(FOLDER_ACTOR, self.clock.now(), |inventory| {
            let Some(installed) = inventory.plugins.get(plugin) else { return Ok(Vec::new()) };
            let offer = Offer { plugin, kind: &installed.kind, digest, version, source: &source };
            let changes = inventory.arrive(&offer, None, |digest| elsewhere(digest));
            changes.map_err(|refused| ChangeError::Refused(refused.to_string()))
        })
        .await
    }

    /// A file was removed from the folder. The highest version that is still present takes the place of what it held.
    async fn take_out(&self, work: &mut Workbench, path: &Path) {
        let elsewhere = copies(work, Some(path));
        let server = work.server.clone();
        let place = path.to_string_lossy();
        let changed = work
            .change(FOLDER_ACTOR, self.clock.now(), |inventory| {
                Ok(inventory.depart(&server, &place, |digest| elsewhere(digest)))
            })
            .await;
        match changed {
            Ok(()) => {
                tracing::info!(target: "plugin", file = %path.display(), "a file of the plugins folder was removed");
            }
            Err(error) => {
                tracing::warn!(target: "plugin", file = %path.display(), %error, "a file of the plugins folder was removed, and what it held stays in use");
            }
        }
    }

    pub(crate) async fn tidy(&self, work: &mut Workbench, actor: &str) {
        if let Err(error) = work.tidy(actor, self.clock.now()).await {
            tracing::warn!(%error, "plugin versions that nobody needs could not be forgotten; the next change tries again");
        }
    }

    /// Reads files of the folder and looks at each that is not installed already, as many at a time as there are cores.
    async fn examine_files(&self, paths: Vec<PathBuf>) -> Vec<Candidate> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let turns = Arc::new(Semaphore::new(cores));
        let mut looking = JoinSet::new();
        let mut candidates = Vec::new();
        for path in paths {
            let rejected = |reason: String| Finding::Rejected(Rejected { kind: None, plugin: None, reason });
            let read = {
                let mut work = self.work.lock().await;
                let read = work.folder.read(&path, self.sandbox.max_component_bytes());
                match read {
                    Ok(None) => continue,
                    Ok(Some(contents)) => known(&work.inventory, &contents).map_or(Ok(contents), Err),
                    Err(error) => Err(rejected(format!("it cannot be read: {error}"))),
                }
            };
            match read {
                Err(finding) => candidates.push(Candidate { path, finding }),
                Ok(Contents { bytes, signature }) => {
                    let (sandbox, trust) = (self.sandbox.clone(), Arc::clone(&self.trust));
                    let (turns, now) = (Arc::clone(&turns), self.clock.now());
                    let listed = self.loading.begin(path.display().to_string());
                    looking.spawn(async move {
                        let _listed = listed;
                        // Only fails on a closed semaphore, which this one never is.
                        let _turn = turns.acquire().await;
                        let examiner = Examiner { sandbox: &sandbox, trust: &trust };
                        let finding = match examiner.examine(bytes, signature.as_deref(), now).await {
                            Ok((component, bytes)) => {
                                Finding::Sound(Box::new(Sound { component, bytes: bytes.into(), signature }))
                            }
                            Err(rejected) => Finding::Rejected(rejected),
                        };
                        Candidate { path, finding }
                    });
                }
            }
        }
        while let Some(joined) = looking.join_next().await {
            match joined {
                Ok(candidate) => candidates.push(candidate),
                Err(error) => tracing::error!(%error, "a plugin could not be looked at"),
            }
        }
        candidates
    }
}

/// Tells where in the folder the bytes of a digest lie, beside the file at `path`.
fn copies(work: &Workbench, path: Option<&Path>) -> impl Fn(&str) -> Option<String> + use<> {
    let others = work.files.iter().filter(|(other, _)| Some(other.as_path()) != path);
    let copies: BTreeMap<String, String> = others
        .filter_map(|(path, found)| Some((found.verdict.as_ref().ok()?.clone(), path.to_string_lossy().into_owned())))
        .collect();
    move |digest| copies.get(digest).cloned()
}

/// The file of a folder that a version comes from.
fn source_path(source: &Source) -> Option<&Path> {
    if let Source::Folder { path, .. } = source { Some(Path::new(path)) } else { None }
}

fn folder_source(work: &Workbench, path: &Path) -> Source {
    Source::Folder { server: work.server.clone(), path: path.to_string_lossy().into_owned() }
}

/// Whether a component is installed, with its signature if it has one.
fn is_known(inventory: &Inventory, plugin: &str, digest: &str, signature: Option<&String>) -> bool {
    let version = inventory.plugins.get(plugin).and_then(|installed| installed.versions.get(digest));
    version.is_some_and(|version| signature.is_none() || version.signature.as_ref() == signature)
}

/// What is known of these bytes, if they are installed.
fn known(inventory: &Inventory, contents: &Contents) -> Option<Finding> {
    let digest = trust::digest(&contents.bytes);
    inventory.plugins.iter().find_map(|(plugin, installed)| {
        let version = installed.versions.get(&digest)?;
        if !is_known(inventory, plugin, &digest, contents.signature.as_ref()) {
            return None;
        }
        Some(Finding::Known {
            plugin: plugin.clone(),
            kind: Kind::parse(&installed.kind),
            version: version.version.clone(),
            digest: digest.clone(),
        })
    })
}

/// The ids that newcomers of different kinds have. None of them may win: a template that took a policy's place would
/// switch it off.
fn disputed(candidates: &[Candidate], inventory: &Inventory) -> BTreeSet<String> {
    let mut kinds: BTreeMap<&str, BTreeSet<Kind>> = BTreeMap::new();
    for candidate in candidates {
        let Finding::Sound(sound) = &candidate.finding else { continue };
        let id = sound.component.description().id.as_str();
        if !inventory.plugins.contains_key(id) {
            kinds.entry(id).or_default().insert(sound.component.kind());
        }
    }
    kinds.into_iter().filter(|(_, kinds)| kinds.len() > 1).map(|(id, _)| id.to_owned()).collect()
}

/// What is installed already first; then by id, and of each the highest version first, so that lower ones never come
/// into use on the way; then by path, so that of two equal ones the first stays.
fn in_order(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    candidates.sort_by(|a, b| a.path.cmp(&b.path));
    candidates.sort_by(|a, b| match (&a.finding, &b.finding) {
        (Finding::Sound(a), Finding::Sound(b)) => {
            let (a, b) = (a.component.description(), b.component.description());
            a.id.cmp(&b.id).then_with(|| b.version.cmp_precedence(&a.version))
        }
        (a, b) => matches!(a, Finding::Sound(_)).cmp(&matches!(b, Finding::Sound(_))),
    });
    candidates
}
