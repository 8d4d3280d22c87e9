//! The digest that decides between adopting a container and replacing it.

use std::fmt::Write;

use convergence_model::Limits;
use convergence_model::plan::Health;
use convergence_model::workload::{Boundary, EnvValue, LogRotation, Mount, Published, Tmpfs, Workload, label};
use sha2::{Digest, Sha256};

/// Raised whenever a runtime makes something else out of the same workload, so that containers of an older
/// server are replaced instead of adopted.
const SHAPE: &str = "convergence workload 1";

/// The SHA-256 of everything a workload's container is made of, as 64 hexadecimal digits; the value of [`label::SPEC`].
///
/// Secret values go in, so that a rotated key replaces the container, and cannot be read back out. The
/// operation's label stays out: a second operation that wants the same container may adopt it.
pub fn fingerprint(workload: &Workload) -> String {
    // Taken apart by name, so that a new field does not compile until it is thought of here.
    let Workload {
        name,
        image,
        labels,
        command,
        env,
        container_port,
        published,
        boundary: Boundary { name: boundary, addresses },
        volumes,
        tmpfs,
        // Disk and replicas are not a container's, and the host's probe is not in it.
        limits: Limits { cpu_millis, memory_mb, disk_mb: _, replicas: _, pids },
        health: Health { probe: _, in_container, interval_seconds, timeout_seconds, retries, start_period_seconds },
        stop_signal,
        stop_grace_seconds,
        host_aliases,
        log_rotation: LogRotation { max_size_mb, max_files },
    } = workload;

    let mut digest = Fields(Sha256::new());
    digest.field("shape", SHAPE);
    digest.field("name", name);
    digest.field("image", image);
    for (key, value) in labels.iter().filter(|(key, _)| key.as_str() != label::OPERATION) {
        digest.field("label", key);
        digest.field("is", value);
    }
    digest.list("command", command);
    for (key, value) in env {
        digest.field("env", key);
        match value {
            EnvValue::Literal(text) => digest.field("literal", text),
            EnvValue::Secret(secret) => digest.field("secret", secret.expose()),
        }
    }
    digest.field("port", &container_port.to_string());
    // Names of fields are those of the first servers: containers of theirs are adopted.
    if let Some(Published { address, port }) = published {
        digest.field("published", &format!("{address} {port}"));
    }
    digest.field("network", boundary);
    if let Some(addresses) = addresses {
        digest.field("subnet", &addresses.to_string());
    }
    for Mount { volume, path } in volumes {
        digest.field("volume", volume);
        digest.field("at", path);
    }
    for Tmpfs { path, size_mb, executable } in tmpfs {
        digest.field("tmpfs", path);
        digest.field("of", &format!("{size_mb} {executable}"));
    }
    digest.field("limits", &format!("{cpu_millis} {memory_mb} {pids}"));
    if let Some(command) = in_container {
        digest.list("health", command);
    }
    digest.field("times", &format!("{interval_seconds} {timeout_seconds} {retries} {start_period_seconds}"));
    digest.field("stop", &format!("{stop_signal} {stop_grace_seconds}"));
    digest.list("aliases", host_aliases);
    digest.field("log", &format!("{max_size_mb} {max_files}"));
    digest.finish()
}

/// The value of [`label::LIMITS`]: what of a workload's limits an engine holds a container to.
pub(crate) fn limits_label(limits: Limits) -> String {
    format!("{} {} {}", limits.cpu_millis, limits.memory_mb, limits.pids)
}

/// Whether something with these labels was made from this workload, whatever limits it was given since. Those that it
/// has now are for the code that compares the rest of it.
pub(crate) fn is_made_from<'l>(label: impl Fn(&str) -> Option<&'l String>, workload: &Workload) -> bool {
    let Some(spec) = label(label::SPEC) else { return false };
    if *spec == fingerprint(workload) {
        return true;
    }
    // It was resized: compare with what it was made with. The label can claim nothing that the hash does not confirm.
    let first = label(label::LIMITS).and_then(|text| with_limits(workload, text));
    first.is_some_and(|first| *spec == fingerprint(&first))
}

/// The workload with the limits of such a label.
fn with_limits(workload: &Workload, label: &str) -> Option<Workload> {
    let mut numbers = label.split(' ').map(str::parse);
    let mut next = || numbers.next()?.ok();
    let limits = Limits { cpu_millis: next()?, memory_mb: next()?, pids: next()?, ..workload.limits };
    Some(Workload { limits, ..workload.clone() })
}

/// Feeds fields to a hash, each with its length, so that no two lists of fields look alike.
struct Fields(Sha256);

impl Fields {
    fn field(&mut self, name: &str, value: &str) {
        for text in [name, value] {
            self.0.update((text.len() as u64).to_be_bytes());
            self.0.update(text.as_bytes());
        }
    }

    fn list(&mut self, name: &str, values: &[String]) {
        self.field(name, &values.len().to_string());
        for value in values {
            self.field("", value);
        }
    }

    fn finish(self) -> String {
        self.0.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[cfg(test)]
mod tests;
