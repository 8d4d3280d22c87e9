//! Why a registry gave no component, or took none.

use std::net::IpAddr;
use std::time::Duration;

/// Why a registry gave no component, or took none. Names hosts and never whole URLs, whose queries may be secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// We would not go there.
    #[error("{host} is not asked: {refusal}")]
    Refused {
        /// Where we would have gone.
        host: String,
        /// Why not.
        refusal: Refusal,
    },
    /// Nobody answers there, or not in a language we speak.
    #[error("{host} cannot be asked: {reason}")]
    Unreachable {
        /// Which host.
        host: String,
        /// What happened.
        reason: String,
    },
    /// It took longer than it may.
    #[error("{host} was not done after {} s", .after.as_secs())]
    TimedOut {
        /// Which host.
        host: String,
        /// How long it was given.
        after: Duration,
    },
    /// The registry wants somebody else.
    #[error(
        "{registry} does not let us {action} {repository}{}",
        if *.known { ": check `username` and `password-file` of the registry, and what that user may do" }
        else { " without saying who we are: give it a `username` and a `password-file` in [registries]" }
    )]
    Denied {
        /// Which registry.
        registry: String,
        /// `pull` or `push`.
        action: &'static str,
        /// Which repository.
        repository: String,
        /// Whether we had said who we are.
        known: bool,
    },
    /// There is no such thing.
    #[error("{registry} has no {what}")]
    NotFound {
        /// Which registry.
        registry: String,
        /// What was asked for.
        what: String,
    },
    /// The registry answered with something else than what was asked for.
    #[error("{host} answered {status}{}", if .message.is_empty() { String::new() } else { format!(": {}", .message) })]
    Status {
        /// Which host.
        host: String,
        /// The HTTP status.
        status: u16,
        /// What it said, on one line; empty where it said nothing of use.
        message: String,
    },
    /// More than is taken.
    #[error("the {what} is larger than the {limit} bytes that are taken")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Bytes.
        limit: u64,
    },
    /// The bytes are not those that were named.
    #[error("the {what} should be {expected} and is {actual}: the registry, or somebody between, changed it")]
    WrongDigest {
        /// What.
        what: &'static str,
        /// As it was named.
        expected: String,
        /// As it came.
        actual: String,
    },
    /// It is something else than a component, or than one this was made for.
    #[error("{what} is no component as `wkg` publishes them: {reason}")]
    NotAComponent {
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The operator's settings for the registry cannot be used.
    #[error("the settings of {registry} in [registries] cannot be used: {reason}")]
    Settings {
        /// Which registry.
        registry: String,
        /// What is wrong.
        reason: String,
    },
}

/// Why we would not go somewhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An address inside, where an untrusted registry must not send us.
    #[error(
        "its address {0} is not a public one, and only a registry listed in [registries] may be at such an address or lead to one"
    )]
    PrivateAddress(IpAddr),
    /// Without TLS.
    #[error(
        "it would be without TLS, which is only for registries on this machine and those listed with `plain-http = true` in [registries]"
    )]
    WithoutTls,
    /// Neither `http` nor `https`.
    #[error("that is no address of the web")]
    NotWeb,
    /// In circles.
    #[error("we were sent on too often")]
    TooManyRedirects,
}
