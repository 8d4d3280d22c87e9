//! What all builds together may use of the machine.
//!
//! An engine takes no limits for single builds. But an engine with the `cgroupfs` driver puts every build step into one control
//! group, `docker/buildkit`, unless its own configuration names another parent, and what that group may use can be set from
//! outside: by a process that may write below `/sys/fs/cgroup` of the engine's machine. It is set before each build, because a
//! restart of the machine forgets it.
//!
//! Source: `runcexecutor` of BuildKit, and the kernel's documents on control groups, versions
//! [1](https://docs.kernel.org/admin-guide/cgroup-v1/index.html) and
//! [2](https://docs.kernel.org/admin-guide/cgroup-v2.html).

use std::fs;
use std::io;
use std::path::Path;

/// Where control groups are.
const ROOT: &str = "/sys/fs/cgroup";
/// The group of all build steps.
const GROUP: &str = "docker/buildkit";
/// Microseconds for which a share of processors is counted.
const PERIOD: u64 = 100_000;
/// Bytes that no machine has. Version one of control groups says nearly twice as many where memory is not bounded.
const UNLIMITED: u64 = 1 << 62;

/// What all builds together may use; what is absent is not bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BuildBounds {
    /// MiB of memory. There is no swap beyond it.
    pub memory_mb: Option<u32>,
    /// Thousandths of a core.
    pub cpu_millis: Option<u32>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

impl BuildBounds {
    /// Sets them for the builds of this machine's engine, and lifts those that were set before and are absent now.
    ///
    /// # Errors
    /// This process may not, or the machine has no control groups where they are expected.
    pub fn set(&self) -> io::Result<()> {
        self.set_below(Path::new(ROOT))
    }

    fn set_below(&self, root: &Path) -> io::Result<()> {
        let is_v2 = root.join("cgroup.controllers").exists();
        self.lift(root, is_v2)?;
        if *self == Self::default() {
            return Ok(());
        }
        if is_v2 { self.set_v2(&root.join(GROUP)) } else { self.set_v1(root) }
    }

    /// A bound outlives the server that set it, and must not outlive its line in the configuration.
    fn lift(&self, root: &Path, is_v2: bool) -> io::Result<()> {
        let (memory, cpu, pids) = (self.memory_mb.is_none(), self.cpu_millis.is_none(), self.pids.is_none());
        // The limit with swap may never be below the one without, so it is lifted first.
        let files = if is_v2 {
            [
                (memory, "memory.swap.max", "max"),
                (memory, "memory.max", "max"),
                (cpu, "cpu.max", "max"),
                (pids, "pids.max", "max"),
            ]
        } else {
            [
                (memory, "memory.memsw.limit_in_bytes", "-1"),
                (memory, "memory.limit_in_bytes", "-1"),
                (cpu, "cpu.cfs_quota_us", "-1"),
                (pids, "pids.max", "max"),
            ]
        };
        for (_, file, unlimited) in files.into_iter().filter(|(is_absent, ..)| *is_absent) {
            // The name of a file begins with its controller's, which has a tree of its own in version one.
            let controller = file.split('.').next().unwrap_or_default();
            let group = if is_v2 { root.join(GROUP) } else { root.join(controller).join(GROUP) };
            lift(&group.join(file), unlimited)?;
        }
        Ok(())
    }

    fn set_v2(&self, group: &Path) -> io::Result<()> {
        make(group)?;
        // A group has the files of a controller only where the groups above it pass the controller on.
        let controllers = [("memory", self.memory_mb), ("cpu", self.cpu_millis), ("pids", self.pids)];
        let wanted: Vec<_> =
            controllers.iter().filter(|(_, bound)| bound.is_some()).map(|(name, _)| format!("+{name}")).collect();
        // From the root down: no group passes on what it has not.
        let above: Vec<_> = group.ancestors().skip(1).take(GROUP.split('/').count()).collect();
        for above in above.into_iter().rev() {
            write_if_there(&above.join("cgroup.subtree_control"), wanted.join(" "))?;
        }
        if let Some(mb) = self.memory_mb {
            write(&group.join("memory.max"), bytes(mb))?;
            write_if_there(&group.join("memory.swap.max"), 0)?;
        }
        if let Some(millis) = self.cpu_millis {
            write(&group.join("cpu.max"), format!("{} {PERIOD}", quota(millis)))?;
        }
        if let Some(pids) = self.pids {
            write(&group.join("pids.max"), pids)?;
        }
        Ok(())
    }

    fn set_v1(&self, root: &Path) -> io::Result<()> {
        let group = |controller: &str| {
            let group = root.join(controller).join(GROUP);
            // Elsewhere a folder would be made that bounds nothing.
            if !root.join(controller).join("cgroup.procs").exists() {
                let message = format!("there is no control group {}", root.join(controller).display());
                return Err(io::Error::new(io::ErrorKind::NotFound, message));
            }
            make(&group).map(|()| group)
        };
        if let Some(mb) = self.memory_mb {
            let group = group("memory")?;
            let (memory, with_swap) = (group.join("memory.limit_in_bytes"), group.join("memory.memsw.limit_in_bytes"));
            // The limit with swap may never be below the one without: which one is written first depends on the way.
            if write(&memory, bytes(mb)).is_err() {
                write_if_there(&with_swap, bytes(mb))?;
                write(&memory, bytes(mb))?;
            }
            write_if_there(&with_swap, bytes(mb))?;
        }
        if let Some(millis) = self.cpu_millis {
            let group = group("cpu")?;
            write(&group.join("cpu.cfs_period_us"), PERIOD)?;
            write(&group.join("cpu.cfs_quota_us"), quota(millis))?;
        }
        if let Some(pids) = self.pids {
            write(&group("pids")?.join("pids.max"), pids)?;
        }
        Ok(())
    }
}

fn bytes(mb: u32) -> u64 {
    u64::from(mb) << 20
}

fn quota(millis: u32) -> u64 {
    u64::from(millis) * PERIOD / 1000
}

fn make(group: &Path) -> io::Result<()> {
    fs::create_dir_all(group).map_err(|error| named(group, &error))
}

fn write(file: &Path, value: impl ToString) -> io::Result<()> {
    fs::write(file, value.to_string()).map_err(|error| named(file, &error))
}

/// Nothing is written where nothing is bounded: a process that sets no bounds need not be allowed to.
fn lift(file: &Path, unlimited: &str) -> io::Result<()> {
    match fs::read_to_string(file) {
        Ok(said) if is_unlimited(&said) => Ok(()),
        Ok(_) => write(file, unlimited),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(named(file, &error)),
    }
}

fn is_unlimited(said: &str) -> bool {
    let first = said.split_whitespace().next().unwrap_or_default();
    matches!(first, "max" | "-1") || first.parse().is_ok_and(|bytes: u64| bytes >= UNLIMITED)
}

/// A kernel without swap accounting has no such file, and a machine without swap needs none.
fn write_if_there(file: &Path, value: impl ToString) -> io::Result<()> {
    if file.exists() { write(file, value) } else { Ok(()) }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    //! On folders that look like control groups.
    #![allow(clippy::unwrap_used)]

    use super::*;

    const BOUNDS: BuildBounds = BuildBounds { memory_mb: Some(64), cpu_millis: Some(1500), pids: Some(100) };

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn bounds_are_written_as_version_two_of_control_groups_has_them() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), "cpu memory pids").unwrap();
        fs::create_dir(root.path().join("docker")).unwrap();
        for above in [root.path().to_owned(), root.path().join("docker")] {
            fs::write(above.join("cgroup.subtree_control"), "").unwrap();
        }
        let memory_only = BuildBounds { cpu_millis: None, pids: None, ..BOUNDS };
        memory_only.set_below(root.path()).unwrap();
        assert_eq!(read(&root.path().join("cgroup.subtree_control")), "+memory");
        BOUNDS.set_below(root.path()).unwrap();
        assert_eq!(read(&root.path().join("docker/cgroup.subtree_control")), "+memory +cpu +pids");
        let group = root.path().join(GROUP);
        assert!(!group.join("cgroup.subtree_control").exists());
        assert_eq!(read(&group.join("memory.max")), "67108864");
        assert_eq!(read(&group.join("cpu.max")), "150000 100000");
        assert_eq!(read(&group.join("pids.max")), "100");
        assert!(!group.join("memory.swap.max").exists());

        // What is absent from the configuration since is bounded no longer.
        fs::write(group.join("memory.swap.max"), "0").unwrap();
        memory_only.set_below(root.path()).unwrap();
        let read_all = || ["memory.max", "memory.swap.max", "cpu.max", "pids.max"].map(|file| read(&group.join(file)));
        assert_eq!(read_all(), ["67108864", "0", "max", "max"]);
        BuildBounds::default().set_below(root.path()).unwrap();
        assert_eq!(read_all(), ["max"; 4]);
    }

    #[test]
    fn bounds_are_written_as_version_one_of_control_groups_has_them() {
        let root = tempfile::tempdir().unwrap();
        let missing = BOUNDS.set_below(root.path()).unwrap_err();
        assert!(missing.to_string().contains("memory"), "{missing}");
        for controller in ["memory", "cpu", "pids"] {
            fs::create_dir(root.path().join(controller)).unwrap();
            fs::write(root.path().join(controller).join("cgroup.procs"), "").unwrap();
        }
        BOUNDS.set_below(root.path()).unwrap();
        assert_eq!(read(&root.path().join("memory/docker/buildkit/memory.limit_in_bytes")), "67108864");
        assert_eq!(read(&root.path().join("cpu/docker/buildkit/cpu.cfs_quota_us")), "150000");
        assert_eq!(read(&root.path().join("pids/docker/buildkit/pids.max")), "100");

        let memory = root.path().join("memory/docker/buildkit/memory.limit_in_bytes");
        BuildBounds::default().set_below(root.path()).unwrap();
        assert_eq!(read(&memory), "-1");
        assert_eq!(read(&root.path().join("cpu/docker/buildkit/cpu.cfs_quota_us")), "-1");
        assert_eq!(read(&root.path().join("pids/docker/buildkit/pids.max")), "max");
        // As the kernel says that nothing is bounded.
        fs::write(&memory, "9223372036854771712\n").unwrap();
        BuildBounds::default().set_below(root.path()).unwrap();
        assert_eq!(read(&memory), "9223372036854771712\n");
    }

    #[test]
    fn nothing_is_touched_where_nothing_is_bounded() {
        BuildBounds::default().set_below(Path::new("/nonexistent")).unwrap();
    }
}
