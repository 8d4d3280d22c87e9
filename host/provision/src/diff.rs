//! What is different from one revision of a tenant to another.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use convergence_model::plan::{Base, Probe};
use convergence_model::tenant::Revision;
use convergence_source::Changed;

use crate::Provisioner;

/// Files that are told of one by one.
const FILES_MAX: usize = 200;

/// One thing that is different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What, for example `limits.memoryMb`.
    pub field: String,
    /// Absent where there was nothing.
    pub before: Option<String>,
    /// Absent where there is nothing any more.
    pub after: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = &self.field;
        match (&self.before, &self.after) {
            (None, Some(after)) => write!(f, "{field}: {after} (new)"),
            (Some(before), None) => write!(f, "{field}: {before} (gone)"),
            (before, after) => {
                write!(f, "{field}: {} -> {}", before.as_deref().unwrap_or("-"), after.as_deref().unwrap_or("-"))
            }
        }
    }
}

/// Everything that is different in `to`, in the order of the fields. Of variables only names are told, and which of them have
/// another value.
pub fn changes(from: Option<&Revision>, to: &Revision) -> Vec<Change> {
    let none = BTreeMap::new();
    let before = from.map_or(none, fields);
    let after = fields(to);
    let mut changes = Vec::new();
    for (place, field) in before.keys().chain(after.keys()).collect::<std::collections::BTreeSet<_>>() {
        let key = (*place, field.clone());
        let (before, after) = (before.get(&key).cloned(), after.get(&key).cloned());
        if before != after {
            changes.push(Change { field: field.clone(), before, after });
        }
    }
    if let Some(from) = from {
        changes.extend(other_values(from, to));
    }
    changes
}

/// Variables that are there in both, with other values.
fn other_values(from: &Revision, to: &Revision) -> impl Iterator<Item = Change> {
    let is_other = |name: &&convergence_model::EnvName| {
        let (before, after) = (from.spec.env.get(*name), to.spec.env.get(*name));
        before.is_some() && after.is_some() && before != after
    };
    let change = |name: &convergence_model::EnvName| Change {
        field: format!("env.{name}"),
        before: Some("(a value)".to_owned()),
        after: Some("(another value)".to_owned()),
    };
    from.spec.env.keys().filter(is_other).map(change).collect::<Vec<_>>().into_iter()
}

/// What a revision is, field by field, in the order in which it is told.
fn fields(revision: &Revision) -> BTreeMap<(u8, String), String> {
    let mut fields = BTreeMap::new();
    let mut put = |place: u8, field: &str, value: String| fields.insert((place, field.to_owned()), value);
    let (spec, plan, limits) = (&revision.spec, &revision.plan, &revision.limits);
    put(0, "source", spec.source.to_string());
    put(1, "language", spec.language.clone());
    if let Some(framework) = &spec.framework {
        put(2, "framework", framework.clone());
    }
    if let Some(image) = &spec.base_image {
        put(3, "baseImage", image.clone());
    }
    for stage in &plan.stages {
        let base = match &stage.base {
            Base::Image(image) => image.clone(),
            Base::Stage(stage) => format!("stage {stage}"),
            Base::Scratch => "scratch".to_owned(),
        };
        put(4, &format!("plan.stages.{}", stage.name), format!("{base}, {} steps", stage.steps.len()));
    }
    put(5, "plan.command", plan.service.command.join(" "));
    put(5, "plan.port", plan.service.port.to_string());
    put(
        5,
        "plan.health",
        match &plan.service.health.probe {
            Probe::Http(path) => format!("GET {path}"),
            Probe::Tcp => "the port is open".to_owned(),
            Probe::Command(command) => command.join(" "),
        },
    );
    put(6, "limits.cpu", (f64::from(limits.cpu_millis) / 1000.0).to_string());
    put(6, "limits.diskMb", limits.disk_mb.to_string());
    put(6, "limits.memoryMb", limits.memory_mb.to_string());
    put(6, "limits.pids", limits.pids.to_string());
    put(6, "limits.replicas", limits.replicas.to_string());
    for name in spec.env.keys() {
        put(7, &format!("env.{name}"), "(a value)".to_owned());
    }
    for (name, version) in &spec.secrets {
        put(7, &format!("secrets.{name}"), format!("version {version}"));
    }
    for (id, pin) in &revision.plugins {
        put(8, &format!("plugins.{id}"), format!("{} {}", pin.version, pin.digest));
    }
    if let Some(built) = &revision.built {
        put(9, "image", built.image_id.clone());
    }
    fields
}

impl Provisioner {
    /// The files that are different in the source of `to`, one a line; none where one of the sources is no archive or is not
    /// kept any more.
    ///
    /// # Errors
    /// The folder of sources cannot be read.
    pub async fn file_changes(&self, from: Option<&Revision>, to: &Revision) -> io::Result<Option<Vec<String>>> {
        let digests = (from.and_then(|from| from.spec.source.digest()), to.spec.source.digest());
        let (Some(from), Some(to)) = digests else { return Ok(None) };
        let (Some(from), Some(to)) = (self.sources.get(from).await?, self.sources.get(to).await?) else {
            return Ok(None);
        };
        let changes = from.changes(&to);
        let more = changes.len().saturating_sub(FILES_MAX);
        let line = |change: convergence_source::FileChange| {
            let mark = match change.what {
                Changed::Added => '+',
                Changed::Removed => '-',
                Changed::Edited => '~',
            };
            format!("{mark} {}", change.path)
        };
        let mut lines: Vec<String> = changes.into_iter().take(FILES_MAX).map(line).collect();
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        Ok(Some(lines))
    }
}
