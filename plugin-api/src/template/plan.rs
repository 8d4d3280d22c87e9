//! Writing a plan.

use super::{
    Base, BuildPlan, Cache, CopyFiles, File, Health, Origin, Probe, Run, Service, Stage, Step, Volume, Writable,
};
use crate::Attribute;

/// Bytes in a note.
const NOTE_BYTES_MAX: usize = 1024;

fn owned<S: AsRef<str>>(strings: impl IntoIterator<Item = S>) -> Vec<String> {
    strings.into_iter().map(|string| string.as_ref().to_owned()).collect()
}

impl BuildPlan {
    /// A plan without files or stages.
    pub fn new(service: Service) -> Self {
        Self { files: Vec::new(), stages: Vec::new(), service, notes: Vec::new(), extra: Vec::new() }
    }

    /// Adds a file for [`Stage::copy_plan`].
    #[must_use]
    pub fn file(mut self, path: &str, contents: impl Into<Vec<u8>>) -> Self {
        self.files.push(File::new(path, contents));
        self
    }

    /// Adds a stage; the last one is what runs.
    #[must_use]
    pub fn stage(mut self, stage: Stage) -> Self {
        self.stages.push(stage);
        self
    }

    /// Adds a line about what was decided and why, human-readable. A note may quote the application: control characters
    /// become spaces, and what is beyond the bound of a note is cut.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        let mut note = note.into().replace(char::is_control, " ");
        note.truncate(note.floor_char_boundary(NOTE_BYTES_MAX));
        self.notes.push(note);
        self
    }
}

impl File {
    /// A file that is not executable.
    pub fn new(path: &str, contents: impl Into<Vec<u8>>) -> Self {
        Self { path: path.to_owned(), contents: contents.into(), executable: false }
    }
}

impl Stage {
    /// A stage on top of an image.
    pub fn from_image(name: &str, image: &str) -> Self {
        Self { name: name.to_owned(), base: Base::Image(image.to_owned()), steps: Vec::new() }
    }

    /// A stage on top of an earlier one.
    pub fn from_stage(name: &str, earlier: &str) -> Self {
        Self { name: name.to_owned(), base: Base::Stage(earlier.to_owned()), steps: Vec::new() }
    }

    /// A stage on top of nothing.
    pub fn from_scratch(name: &str) -> Self {
        Self { name: name.to_owned(), base: Base::Scratch, steps: Vec::new() }
    }

    /// Makes a folder and makes it the current one.
    #[must_use]
    pub fn workdir(self, path: &str) -> Self {
        self.step(Step::Workdir(path.to_owned()))
    }

    /// Sets a variable for the steps that follow and, in the last stage, for the service.
    #[must_use]
    pub fn env(self, key: &str, value: &str) -> Self {
        self.step(Step::Env(Attribute::new(key, value)))
    }

    /// Puts a folder in front of `PATH`.
    #[must_use]
    pub fn prepend_path(self, path: &str) -> Self {
        self.step(Step::PrependPath(path.to_owned()))
    }

    /// Copies from the application's source; `["."]` is all of it.
    #[must_use]
    pub fn copy_source<S: AsRef<str>>(self, paths: impl IntoIterator<Item = S>, destination: &str) -> Self {
        self.copy(Origin::Source, paths, destination)
    }

    /// Copies from the plan's own files; `["."]` is all of them.
    #[must_use]
    pub fn copy_plan<S: AsRef<str>>(self, paths: impl IntoIterator<Item = S>, destination: &str) -> Self {
        self.copy(Origin::Plan, paths, destination)
    }

    /// Copies from an earlier stage.
    #[must_use]
    pub fn copy_stage<S: AsRef<str>>(self, stage: &str, paths: impl IntoIterator<Item = S>, destination: &str) -> Self {
        self.copy(Origin::Stage(stage.to_owned()), paths, destination)
    }

    /// Copies from any origin.
    #[must_use]
    pub fn copy<S: AsRef<str>>(self, origin: Origin, paths: impl IntoIterator<Item = S>, destination: &str) -> Self {
        self.step(Step::Copy(CopyFiles { origin, paths: owned(paths), destination: destination.to_owned() }))
    }

    /// Runs a program, without a shell.
    #[must_use]
    pub fn run<S: AsRef<str>>(self, argv: impl IntoIterator<Item = S>) -> Self {
        self.run_with_caches(argv, [])
    }

    /// Runs a program with folders that outlive the build.
    #[must_use]
    pub fn run_with_caches<S: AsRef<str>>(
        self,
        argv: impl IntoIterator<Item = S>,
        caches: impl IntoIterator<Item = Cache>,
    ) -> Self {
        let caches = caches.into_iter().collect();
        self.step(Step::Run(Run { argv: owned(argv), caches, secrets: Vec::new() }))
    }

    /// Adds a step.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl Cache {
    /// A cache that only one build uses at a time.
    pub fn exclusive(id: &str, path: &str) -> Self {
        Self { id: id.to_owned(), path: path.to_owned(), exclusive: true }
    }

    /// A cache that several builds may use at once.
    pub fn shared(id: &str, path: &str) -> Self {
        Self { id: id.to_owned(), path: path.to_owned(), exclusive: false }
    }
}

impl Health {
    /// Well when GET of `path` succeeds. Asked every 30 seconds, given 5; three failures in a row make it
    /// unhealthy, not counting the first 30 seconds.
    pub fn http(path: &str) -> Self {
        Self::new(Probe::Http(path.to_owned()))
    }

    /// Well when the port accepts a connection. Times as for [`Health::http`].
    pub fn tcp() -> Self {
        Self::new(Probe::Tcp)
    }

    fn new(probe: Probe) -> Self {
        Self {
            probe,
            in_container: None,
            interval_seconds: 30,
            timeout_seconds: 5,
            retries: 3,
            start_period_seconds: 30,
        }
    }

    /// Sets what the engine runs inside the container.
    #[must_use]
    pub fn in_container<S: AsRef<str>>(mut self, argv: impl IntoIterator<Item = S>) -> Self {
        self.in_container = Some(owned(argv));
        self
    }
}

impl Service {
    /// A service that stops within 10 seconds of SIGTERM, needs 64 MiB and writes nowhere.
    pub fn new<S: AsRef<str>>(command: impl IntoIterator<Item = S>, port: u16, health: Health) -> Self {
        Self {
            command: owned(command),
            release_command: None,
            port,
            health,
            env: Vec::new(),
            writable: Vec::new(),
            volumes: Vec::new(),
            stop_signal: Some("SIGTERM".to_owned()),
            stop_grace_seconds: 10,
            min_memory_mb: 64,
            extra: Vec::new(),
        }
    }

    /// Sets a variable of the service.
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.env.push(Attribute::new(key, value));
        self
    }

    /// Adds scratch space that is empty at start, counts against the memory limit, and runs no programs.
    #[must_use]
    pub fn writable(mut self, path: &str, size_mb: u32) -> Self {
        self.writable.push(Writable { path: path.to_owned(), size_mb, executable: false });
        self
    }

    /// Adds a folder that is kept through restarts and revisions.
    #[must_use]
    pub fn volume(mut self, name: &str, path: &str) -> Self {
        self.volumes.push(Volume { name: name.to_owned(), path: path.to_owned() });
        self
    }

    /// Sets the memory limit, in MiB, below which it will not run.
    #[must_use]
    pub fn min_memory_mb(mut self, mb: u32) -> Self {
        self.min_memory_mb = mb;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_one_line_within_its_bound() {
        let plan = BuildPlan::new(Service::new(["x"], 8080, Health::tcp()));
        let plan = plan.note("a\nb\u{1b}c").note("é".repeat(2000));
        assert_eq!(plan.notes.first().map(String::as_str), Some("a b c"));
        assert!(plan.notes.iter().all(|note| note.len() <= NOTE_BYTES_MAX));
    }
}
