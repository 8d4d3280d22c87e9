//! The key ring: whether everything that is sealed can be opened, and which keys are not needed any more.

use std::path::Path;

use convergence_access::Seals;
use convergence_provision::check_ring;
use convergence_store::Store;

use super::{Finding, Verdict, ok, warn, wrong};
use crate::installation::keyring;

const CHECK: &str = "key ring";

/// Looks at the ring and at what the database has of it.
pub(super) async fn check(data: &Path, store: &Store) -> Vec<Finding> {
    let known = match store.sealing_keys().await {
        Ok(known) => known,
        Err(error) => return vec![warn(CHECK, error.to_string(), "look at the database")],
    };
    let restore =
        "restore `keyring` in the data folder from a backup, or copy it from another server of this installation";
    let text = match keyring::read(data) {
        Ok(Some(text)) => text,
        Ok(None) if known.is_empty() => return vec![ok(CHECK, "there is none yet; the next start makes one")],
        Ok(None) => return vec![wrong(CHECK, "it is missing, and secrets are sealed with its keys", restore)],
        Err(reason) => return vec![wrong(CHECK, reason, "make the file what it should be")],
    };
    let seals = match Seals::parse(text.expose()) {
        Ok(seals) => seals,
        Err(error) => return vec![wrong(CHECK, error.to_string(), restore)],
    };
    let held = seals.ids();
    let missing = known.iter().filter(|key| !held.contains(&key.id));
    let mut findings: Vec<Finding> = missing
        .map(|key| wrong(CHECK, format!("key {} is missing; it sealed {} values", key.id, key.values), restore))
        .collect();
    let newest = seals.newest();
    for id in held.iter().filter(|id| **id != newest) {
        match known.iter().find(|key| key.id == *id).map(|key| key.values) {
            None => findings.push(ok(
                CHECK,
                format!("key {id} is retired: its line may be removed, unless an older backup needs it"),
            )),
            Some(0) => findings
                .push(ok(CHECK, format!("key {id} seals nothing any more; `convergence keys retire {id}` retires it"))),
            Some(values) => findings.push(warn(
                CHECK,
                format!("key {id} still sealed {values} values, and a newer key is there"),
                "`convergence keys rotate` seals them anew",
            )),
        }
    }
    if findings.iter().all(|finding| finding.verdict == Verdict::Ok)
        && let Err(error) = check_ring(&seals, store).await
    {
        findings.push(wrong(CHECK, error.to_string(), restore));
    }
    if findings.is_empty() {
        findings.push(ok(CHECK, format!("key {newest} seals, and opens everything")));
    }
    findings
}
