//! What containers use.
//!
//! Where the server shares the machine with the engine the kernel's own files are read: 0.15 ms instead of the
//! second that the engine takes for one sample, and a thirtieth of the engine's effort. Otherwise the engine is
//! asked for a sample without its own wait.

use std::path::{Path, PathBuf};

use bollard::models;
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt;

use super::connect::{Docker, Fault};
use crate::error::RuntimeError;
use crate::observed::Usage;

impl Docker {
    pub(super) async fn measure(&self, name: &str) -> Result<Usage, RuntimeError> {
        let Some(found) = self.look(name).await? else {
            return Err(RuntimeError::NotFound { what: format!("container {name}") });
        };
        let id = found.id.unwrap_or_default();
        let pid = found.state.and_then(|state| state.pid).filter(|pid| *pid > 0);
        let Some(pid) = pid else {
            return Err(RuntimeError::Conflict {
                what: format!("container {name}"),
                message: "it does not run, so it uses nothing".to_owned(),
            });
        };
        let files = CgroupFiles::find(Path::new("/proc"), Path::new("/sys/fs/cgroup"), pid, &id);
        self.sample(name, files.as_ref()).await
    }

    async fn sample(&self, name: &str, files: Option<&CgroupFiles>) -> Result<Usage, RuntimeError> {
        // Files of the kernel's memory: reading them does not wait for a disk.
        if let Some(sample) = files.and_then(CgroupFiles::read) {
            return Ok(sample);
        }
        let what = format!("measure container {name}");
        let answer = self
            .call(&what, |client| async move {
                let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
                let mut answers = std::pin::pin!(client.stats(name, Some(options)));
                answers.next().await.transpose()
            })
            .await;
        match answer {
            Ok(stats) => Ok(stats.map(from_engine).unwrap_or(Usage { cpu_nanos: 0, memory_bytes: 0 })),
            Err(Fault::Refused { status: 404, .. }) => {
                Err(RuntimeError::NotFound { what: format!("container {name}") })
            }
            Err(fault) => Err(fault.into_error(self)),
        }
    }
}

fn from_engine(stats: models::ContainerStatsResponse) -> Usage {
    let memory = stats.memory_stats.unwrap_or_default();
    let given_back = memory
        .stats
        .as_ref()
        .and_then(|stats| stats.get("total_inactive_file").or_else(|| stats.get("inactive_file")))
        .copied()
        .unwrap_or_default();
    Usage {
        cpu_nanos: stats.cpu_stats.and_then(|cpu| cpu.cpu_usage?.total_usage).unwrap_or_default(),
        memory_bytes: memory.usage.unwrap_or_default().saturating_sub(given_back),
    }
}

/// The files in which the kernel counts what a container uses.
#[derive(Debug, PartialEq, Eq)]
enum CgroupFiles {
    /// One folder for each controller.
    V1 { cpu: PathBuf, memory: PathBuf },
    /// One folder for all.
    V2 { all: PathBuf },
}

impl CgroupFiles {
    /// `None` where the process is not one of this machine, or not that container's.
    fn find(proc: &Path, root: &Path, pid: i64, id: &str) -> Option<Self> {
        let table = std::fs::read_to_string(proc.join(pid.to_string()).join("cgroup")).ok()?;
        // The number alone proves nothing: the engine may live on another machine, or in another namespace.
        if id.is_empty() || !table.contains(id) {
            return None;
        }
        let (mut cpu, mut memory, mut all) = (None, None, None);
        for line in table.lines() {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let path = path.trim_start_matches('/');
            if controllers.is_empty() {
                all = Some(root.join(path));
            }
            if controllers.split(',').any(|name| name == "cpuacct") {
                // The folder is named after all controllers of the line, or after one of them by a link.
                cpu = [controllers, "cpuacct"]
                    .into_iter()
                    .map(|name| root.join(name).join(path))
                    .find(|dir| dir.is_dir());
            }
            if controllers == "memory" {
                memory = Some(root.join("memory").join(path));
            }
        }
        match (cpu, memory, all) {
            (Some(cpu), Some(memory), _) => Some(Self::V1 { cpu, memory }),
            (_, _, Some(all)) => Some(Self::V2 { all }),
            _ => None,
        }
    }

    fn read(&self) -> Option<Usage> {
        match self {
            Self::V1 { cpu, memory } => {
                let used = number(&memory.join("memory.usage_in_bytes"))?;
                let cache = entry(&memory.join("memory.stat"), "total_inactive_file").unwrap_or_default();
                Some(Usage { cpu_nanos: number(&cpu.join("cpuacct.usage"))?, memory_bytes: used.saturating_sub(cache) })
            }
            Self::V2 { all } => {
                let used = number(&all.join("memory.current"))?;
                let cache = entry(&all.join("memory.stat"), "inactive_file").unwrap_or_default();
                Some(Usage {
                    cpu_nanos: entry(&all.join("cpu.stat"), "usage_usec")?.saturating_mul(1000),
                    memory_bytes: used.saturating_sub(cache),
                })
            }
        }
    }
}

fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A line of `name value`.
fn entry(path: &Path, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    //! Both layouts of the kernel's files.
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn reads_version_one() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(
            root,
            &[
                ("proc/7/cgroup", "5:cpuacct,cpu:/docker/abc\n4:memory:/docker/abc\n"),
                ("cg/cpuacct/docker/abc/cpuacct.usage", "5000\n"),
                ("cg/memory/docker/abc/memory.usage_in_bytes", "900\n"),
                ("cg/memory/docker/abc/memory.stat", "inactive_file 1\ntotal_inactive_file 100\n"),
            ],
        );
        let find = |id| CgroupFiles::find(&root.join("proc"), &root.join("cg"), 7, id);
        assert_eq!(find("abc").unwrap().read(), Some(Usage { cpu_nanos: 5000, memory_bytes: 800 }));
        assert_eq!(find("another"), None);
    }

    #[test]
    fn reads_version_two() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(
            root,
            &[
                ("proc/7/cgroup", "0::/system.slice/docker-abc.scope\n"),
                ("cg/system.slice/docker-abc.scope/cpu.stat", "usage_usec 5\nuser_usec 3\n"),
                ("cg/system.slice/docker-abc.scope/memory.current", "900\n"),
                ("cg/system.slice/docker-abc.scope/memory.stat", "anon 1\ninactive_file 100\n"),
            ],
        );
        let files = CgroupFiles::find(&root.join("proc"), &root.join("cg"), 7, "abc").unwrap();
        assert_eq!(files.read(), Some(Usage { cpu_nanos: 5000, memory_bytes: 800 }));
    }
}
