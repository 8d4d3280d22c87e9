//! What a build is sent, and the name its image gets from it.

use convergence_model::build::{BaseImage, CA_BUNDLE, PLAN_FOLDER};
use convergence_model::plan::{Contents, File};
use convergence_model::{OrgId, SourceDigest};
use sha2::{Digest as _, Sha256};

use crate::guard::GuardedPlan;

/// The files of the build context, in order of their paths: those of the plan under
/// [`PLAN_FOLDER`], and the operator's CA bundle where there is one.
pub fn context(guarded: &GuardedPlan, ca: Option<&[u8]>) -> Vec<File> {
    let plan = guarded.plan().files.iter();
    let mut files: Vec<File> =
        plan.map(|file| File { path: format!("{PLAN_FOLDER}/{}", file.path), ..file.clone() }).collect();
    if let Some(bytes) = ca {
        let bundle = File { path: CA_BUNDLE.to_owned(), contents: Contents(bytes.to_vec()), executable: false };
        files.push(bundle);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// `<prefix>/org-<org>:<hash>` of everything that goes into an image: the organization (or one could poison what
/// another adopts), the Dockerfile, the context, the application's source and the bases. The prefix is the installation's own, so that two of
/// them on one engine do not take each other's tags away.
pub fn image_tag<'a>(
    prefix: &str,
    org: OrgId,
    dockerfile: &str,
    context: &[File],
    source: Option<&SourceDigest>,
    bases: impl IntoIterator<Item = &'a BaseImage>,
) -> String {
    let mut hash = Hash(Sha256::new());
    hash.part(org.to_string().as_bytes());
    hash.part(dockerfile.as_bytes());
    hash.part(&context.len().to_be_bytes());
    for file in context {
        hash.part(file.path.as_bytes());
        hash.part(&[u8::from(file.executable)]);
        hash.part(&file.contents.0);
    }
    if let Some(source) = source {
        hash.part(b"source");
        hash.part(source.hex().as_bytes());
    }
    for base in bases {
        hash.part(base.pinned.as_bytes());
        hash.part(base.id.as_bytes());
    }
    let digest = hash.0.finalize();
    let hex = data_encoding::HEXLOWER.encode(&digest);
    format!("{prefix}/org-{org}:{}", hex.get(..32).unwrap_or(&hex))
}

/// Every part goes in with its length, so that no two lists of parts are one stream of bytes.
struct Hash(Sha256);

impl Hash {
    fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }
}
