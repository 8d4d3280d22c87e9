//! Limits held against the machine they are asked of: what no container can get is refused when it is planned, and not when
//! the engine refuses it after a build.

use std::time::Duration;

use convergence_model::{Limits, Violation};
use convergence_runtime::EngineInfo;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::Provisioner;

/// How long what the engine said of its machine is taken for true.
const FRESH: Duration = Duration::from_secs(60);
/// How long an engine that did not answer is not asked again.
const AWAY: Duration = Duration::from_secs(5);
/// How long a plan waits for the answer. Without one it is made all the same; a spawn then finds out why there was none.
const PATIENCE: Duration = Duration::from_secs(2);

/// The machine that containers run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Machine {
    /// Its processors; none where the engine does not say.
    pub cpus: Option<u32>,
    /// Its memory in MiB; none where the engine does not say.
    pub memory_mb: Option<u32>,
}

impl From<&EngineInfo> for Machine {
    fn from(engine: &EngineInfo) -> Self {
        Self { cpus: engine.cpus, memory_mb: engine.memory_mb }
    }
}

impl Machine {
    /// What of these limits this machine cannot give, by the fields of a request.
    pub fn refuses(self, limits: &Limits) -> Vec<Violation> {
        let most_millis = self.cpus.map(|cpus| cpus.saturating_mul(1000));
        let mut refused = Vec::new();
        if limits.cpu_millis < Limits::CPU_MILLIS_MIN || most_millis.is_some_and(|most| limits.cpu_millis > most) {
            let (asked, least) = (cores(limits.cpu_millis), cores(Limits::CPU_MILLIS_MIN));
            let message = match self.cpus {
                Some(cpus) => format!("{asked} cores cannot be had: the machine has {cpus}; give {least} to {cpus}"),
                None => format!("{asked} cores are less than an engine accepts; give {least} or more"),
            };
            refused.push(Violation::deny("limits.cpu", "out-of-range", message));
        }
        if limits.memory_mb < Limits::MEMORY_MB_MIN || self.memory_mb.is_some_and(|most| limits.memory_mb > most) {
            let (asked, least) = (limits.memory_mb, Limits::MEMORY_MB_MIN);
            let message = match self.memory_mb {
                Some(most) => {
                    format!("{asked} MiB of memory cannot be had: the machine has {most}; give {least} to {most}")
                }
                None => format!("{asked} MiB of memory are less than an engine accepts; give {least} or more"),
            };
            refused.push(Violation::deny("limits.memoryMb", "out-of-range", message));
        }
        refused
    }

    /// Why a tenant that asks for nothing cannot get its limits on this machine, by the keys of the configuration.
    pub fn refuses_defaults(self, defaults: &Limits) -> Option<String> {
        let key = |violation: &Violation| match violation.path.as_str() {
            "limits.cpu" => format!("`cpu-millis = {}`: {}", defaults.cpu_millis, violation.message),
            _ => format!("`memory-mb = {}`: {}", defaults.memory_mb, violation.message),
        };
        let refused: Vec<String> = self.refuses(defaults).iter().map(key).collect();
        (!refused.is_empty())
            .then(|| format!("[tenants.default-limits] asks for what this machine has not: {}", refused.join("; ")))
    }
}

fn cores(millis: u32) -> f64 {
    f64::from(millis) / 1000.0
}

/// What the engine said last, and until when that is good enough.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Option<(Instant, Machine)>>);

impl Provisioner {
    /// The machine that containers run on, as far as the engine tells; nothing is known of it while that is away.
    pub(crate) async fn machine(&self) -> Machine {
        let mut known = self.machine.0.lock().await;
        if let Some((until, machine)) = *known
            && Instant::now() < until
        {
            return machine;
        }
        let (fresh, machine) = match tokio::time::timeout(PATIENCE, self.runtime.engine()).await {
            Ok(Ok(engine)) => (FRESH, Machine::from(&engine)),
            // A machine seldom loses what it had.
            Ok(Err(_)) | Err(_) => (AWAY, known.map(|(_, machine)| machine).unwrap_or_default()),
        };
        *known = Some((Instant::now() + fresh, machine));
        machine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_refused_below_what_engines_accept_and_above_what_the_machine_has() {
        let machine = Machine { cpus: Some(2), memory_mb: Some(4096) };
        let refused = |machine: Machine, cpu_millis, memory_mb| {
            let refused = machine.refuses(&Limits { cpu_millis, memory_mb, ..Limits::DEFAULT });
            refused.into_iter().map(|violation| (violation.path, violation.message)).collect::<Vec<_>>()
        };
        for good in [(500, 512), (10, 6), (2000, 4096)] {
            assert_eq!(refused(machine, good.0, good.1), []);
        }
        let of = |path: &str, message: &str| (path.to_owned(), message.to_owned());
        assert_eq!(
            refused(machine, 3000, 4097),
            [
                of("limits.cpu", "3 cores cannot be had: the machine has 2; give 0.01 to 2"),
                of("limits.memoryMb", "4097 MiB of memory cannot be had: the machine has 4096; give 6 to 4096"),
            ]
        );
        assert_eq!(
            refused(machine, 1, 512),
            [of("limits.cpu", "0.001 cores cannot be had: the machine has 2; give 0.01 to 2")]
        );
        // An engine that does not answer, or does not say.
        let unknown = Machine::default();
        assert_eq!(refused(unknown, 64_000, 1 << 20), []);
        assert_eq!(refused(unknown, 9, 5).len(), 2);
    }

    #[test]
    fn defaults_are_told_by_their_keys() {
        let machine = Machine { cpus: Some(2), memory_mb: Some(256) };
        assert_eq!(Machine { memory_mb: Some(512), ..machine }.refuses_defaults(&Limits::DEFAULT), None);
        let told = machine.refuses_defaults(&Limits { cpu_millis: 2001, ..Limits::DEFAULT }).unwrap_or_default();
        assert!(told.contains("`cpu-millis = 2001`") && told.contains("`memory-mb = 512`"), "{told}");
    }
}
