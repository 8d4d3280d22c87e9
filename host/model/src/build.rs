//! What an engine needs to build one image.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ids::OrgId;
use crate::plan::File;

/// The folder of the build context that is ours.
pub const OWN_FOLDER: &str = ".convergence";
/// A folder of the build context that holds the files of a plan, so that an application's own files are
/// neither refused nor shadowed.
pub const PLAN_FOLDER: &str = ".convergence/plan";
/// A folder of the build context that holds the application's source.
pub const SOURCE_FOLDER: &str = ".convergence/source";
/// Where the Dockerfile lies in the build context: in our own folder, so that it shadows no file of an application.
pub const DOCKERFILE_PATH: &str = ".convergence/Dockerfile";
/// Where the operator's CA bundle lies in the build context.
pub const CA_BUNDLE: &str = ".convergence/ca-certificates.crt";

/// A tar that lies on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTar {
    /// The file it is the beginning of.
    pub path: PathBuf,
    /// How long it is, its end included.
    pub bytes: u64,
}

/// One image to build. Everything in it is already rendered and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageBuild {
    /// `repository:tag`; the tag is the hash of everything that went in.
    pub tag: String,
    /// The text of the Dockerfile.
    pub dockerfile: String,
    /// The build context, sent as a tar stream from memory: regular files, uid 0, mtime 0.
    pub context: Vec<File>,
    /// A tar of the application's source, sent after the context; its entries lie in [`SOURCE_FOLDER`], or at the root where the
    /// application has its own Dockerfile.
    pub source: Option<SourceTar>,
    /// Values of the Dockerfile's `ARG`s.
    pub args: BTreeMap<String, String>,
    /// Labels put on the image.
    pub labels: BTreeMap<String, String>,
    /// Keeps the cache mounts of organizations apart.
    pub cache_namespace: String,
}

impl ImageBuild {
    /// The cache namespace of an organization of the installation whose names begin with `prefix`.
    pub fn cache_namespace_of(prefix: &str, org: OrgId) -> String {
        format!("{prefix}-org-{org}")
    }
}

/// A base image as the engine has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BaseImage {
    /// The reference that was resolved.
    pub reference: String,
    /// The reference to write into `FROM`: by digest where the image came from a registry.
    pub pinned: String,
    /// The engine's id of the image, `sha256:…`.
    pub id: String,
    /// Whether the image declares `ONBUILD` triggers.
    pub on_build: bool,
    /// Paths the image declares as `VOLUME`.
    pub volumes: Vec<String>,
}

/// How an image says that it is run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Declared {
    /// Its entry point, and after it its command; empty where it has neither.
    pub command: Vec<String>,
    /// TCP ports it exposes, lowest first.
    pub ports: Vec<u16>,
}

/// A line of a build's progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildLine {
    /// The instruction it belongs to, for example `[build 4/6] RUN ["npm","ci"]`; empty for notices.
    pub step: String,
    /// One line, without its line break.
    pub text: String,
}
