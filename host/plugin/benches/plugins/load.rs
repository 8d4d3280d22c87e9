//! From a component's bytes to something callable: compiled anew, and from the cache.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::bare::Bare;
use crate::guest::Guest;
use crate::measure::{median, mib, ratio, shown, timed};
use crate::product;

/// Both sides in turns.
pub(crate) fn compare(guest: &Guest) {
    let bare = Bare::new();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut last = None;
    for _ in 0..guest.compilations {
        let cache = tempfile::tempdir().unwrap();
        let sandbox = product::sandbox(cache.path());
        ours.push(timed(|| sandbox.load(&guest.bytes).unwrap()).1);
        theirs.push(timed(|| bare.load(&bare.compile(&guest.bytes))).1);
        last = Some((cache, sandbox));
    }
    let (cache, sandbox) = last.expect("every guest is compiled at least once");
    let file = native_code(cache.path()).remove(0);
    let code = std::fs::read(&file).unwrap();
    let (ours, theirs) = (median(ours), median(theirs));
    println!(
        "compile {}: ours {} | bare {} | ratio {:.2} | component {}, native code {}",
        guest.language,
        shown(ours),
        shown(theirs),
        ratio(ours, theirs),
        mib(guest.bytes.len() as f64),
        mib(code.len() as f64),
    );

    let (mut ours, mut theirs, mut read) = (Vec::new(), Vec::new(), Vec::new());
    let (mut digest, mut authenticate) = (Vec::new(), Vec::new());
    for _ in 0..guest.loads {
        ours.push(timed(|| sandbox.load(&guest.bytes).unwrap()).1);
        theirs.push(timed(|| bare.load_file(&file)).1);
        read.push(timed(|| std::fs::read(&file).unwrap()).1);
        digest.push(timed(|| Sha256::digest(&guest.bytes)).1);
        authenticate.push(timed(|| Sha256::digest(&code)).1);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!(
        "cache load {}: ours {} | bare {} | ratio {:.2} | of ours: reading {}, SHA-256 of the component {}, of the code {}",
        guest.language,
        shown(ours),
        shown(theirs),
        ratio(ours, theirs),
        shown(median(read)),
        shown(median(digest)),
        shown(median(authenticate)),
    );
}

/// The files of the product's cache, in order.
pub(crate) fn native_code(cache: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "aot")).collect();
    files.sort();
    files
}
