//! What can go wrong with an engine, in words an operator can act on.

use std::net::SocketAddr;
use std::time::Duration;

use crate::capability::Capability;
use crate::observed::Deviation;

/// Why a [`Runtime`](crate::Runtime) or a [`Builder`](crate::Builder) could not do what it was asked.
///
/// Cloneable and comparable so that the fake can be told to answer any of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// Nothing answers at the engine's socket, or it hung up twice in a row.
    #[error("no container engine answers at {socket}: {cause}; {hint}")]
    Unreachable {
        /// Where it was looked for.
        socket: String,
        /// What the operating system said.
        cause: String,
        /// What to do about it.
        hint: String,
    },
    /// The engine did not finish in time. The effect may still happen: ask again, every call is safe to repeat.
    #[error("the engine did not finish in {} s: {what}", .after.as_secs_f32())]
    Timeout {
        /// What it was asked.
        what: String,
        /// How long was waited.
        after: Duration,
    },
    /// There is nothing of that name.
    #[error("the engine has no {what}")]
    NotFound {
        /// Kind and name, for example `image node:22`.
        what: String,
    },
    /// The runtime does not claim this; [`Runtime::capabilities`](crate::Runtime::capabilities) says what it does.
    #[error("this runtime does not support {capability}")]
    Unsupported {
        /// What it does not claim.
        capability: Capability,
    },
    /// The engine made something other than what it was asked for. It never ran, and is removed.
    #[error("the container is not what was asked for: {}", fields(.deviations))]
    Deviates {
        /// In what it differs.
        deviations: Vec<Deviation>,
    },
    /// Another network already uses some of these addresses.
    #[error("the addresses {subnet} overlap with another network of the engine or the machine")]
    SubnetTaken {
        /// The subnet asked for.
        subnet: String,
    },
    /// The engine has something of ours twice under one name, and refuses to choose: make sure of it again, which keeps one.
    #[error("the engine has {what} more than once")]
    Ambiguous {
        /// Kind and name.
        what: String,
    },
    /// A build ended without an image.
    #[error("the image build failed at {instruction}: {message}")]
    BuildFailed {
        /// The instruction, for example `[build 4/6] RUN ["npm","ci"]`; `the Dockerfile` where none had begun.
        instruction: String,
        /// What the instruction's program exited with, where one ran.
        exit_code: Option<i32>,
        /// What the engine said.
        message: String,
        /// The last 20 lines the instruction printed.
        log: Vec<String>,
    },
    /// What builds may use cannot be bounded as it is configured, so that nothing is built.
    #[error("builds cannot be bounded: {cause}")]
    Unbounded {
        /// What the operating system said.
        cause: String,
    },
    /// A base image could not be fetched.
    #[error(
        "the image {reference} could not be pulled: {message}; \
         check the name and the registry, or map it to a local image in the configuration"
    )]
    PullFailed {
        /// The image's reference.
        reference: String,
        /// What the engine or the registry said.
        message: String,
    },
    /// Something of that name exists and is not ours, or is in use.
    #[error("{what} is in the way: {message}")]
    Conflict {
        /// Kind and name.
        what: String,
        /// Why it cannot be adopted, replaced or removed.
        message: String,
    },
    /// A container ended, or was restarted by the engine, while it was expected to become ready.
    #[error("the container ended before it was ready{}", how_it_ended(.code, .oom))]
    Exited {
        /// Its exit code, where the engine still knows it.
        code: Option<i64>,
        /// Whether the kernel killed it for its memory.
        oom: bool,
        /// The last 20 lines it printed.
        log: Vec<String>,
    },
    /// A container runs but did not become ready in time.
    #[error("the container was not ready after {} s: {last}", .after.as_secs_f32())]
    NotReady {
        /// How long was waited.
        after: Duration,
        /// What the last probe saw.
        last: String,
        /// The port it was to listen on.
        port: u16,
        /// What it listens on; none where nobody can tell.
        listening: Option<Vec<SocketAddr>>,
        /// The last 20 lines it printed.
        log: Vec<String>,
    },
    /// The engine refused for a reason that has no better name here.
    #[error("the engine answered {status}: {message}")]
    Engine {
        /// The HTTP status; 0 where the answer was not understood.
        status: u16,
        /// The engine's words.
        message: String,
    },
}

impl RuntimeError {
    /// Whether the engine itself is missing, as opposed to unwilling.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

fn how_it_ended(code: &Option<i64>, oom: &bool) -> String {
    match (code, oom) {
        (_, true) => ": it used more memory than its limit and was killed".to_owned(),
        (Some(code), false) => format!(" with exit code {code}"),
        (None, false) => String::new(),
    }
}

fn fields(deviations: &[Deviation]) -> String {
    deviations.iter().map(|deviation| deviation.field.as_str()).collect::<Vec<_>>().join(", ")
}
