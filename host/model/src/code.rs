//! The codes of failures: one closed table.
//!
//! Every problem the HTTP API answers and every failure of an operation carries one of these codes. What a code means for
//! an HTTP client, for a script that runs the command line, and for the person who reads it is a row of `code/table.rs` and
//! nowhere else. `docs/errors.md` and the OpenAPI document are made from the same rows.
//!
//! The codes of *violations* (`violations[].code` of a problem) are not in this table: policies choose their own.

mod table;

use std::fmt;

use serde::{Serialize, Serializer};

pub use table::Code;

/// What a code means to everybody who meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// As stored and sent. Never changes.
    pub slug: &'static str,
    /// Where it comes from.
    pub area: Area,
    /// The HTTP status.
    pub status: u16,
    /// How the command line exits.
    pub exit: Exit,
    /// Whether the same request can succeed later.
    pub retry: Retry,
    /// What happened, in general: one sentence.
    pub summary: &'static str,
    /// What to do: one or two sentences.
    pub action: &'static str,
}

/// Where a code comes from: a section of `docs/errors.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// The form of a request.
    Request,
    /// A request about a tenant or an operation that was not accepted.
    Tenant,
    /// A step of an operation that was accepted.
    Step,
    /// A plugin.
    Plugin,
    /// The server, its database or its container engine.
    Server,
}

impl Area {
    /// Every area, in the order of the documentation.
    pub const ALL: [Self; 5] = [Self::Request, Self::Tenant, Self::Step, Self::Plugin, Self::Server];

    /// The heading of its section.
    pub fn title(self) -> &'static str {
        match self {
            Self::Request => "The request",
            Self::Tenant => "Tenants and operations",
            Self::Step => "Steps of an operation",
            Self::Plugin => "Plugins",
            Self::Server => "The server, its database and its engine",
        }
    }
}

/// Whether sending the same request again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// The same request gets the same answer. Change it first.
    No,
    /// The cause may pass by itself. Send the same request again.
    Later,
    /// The same request can succeed once somebody has fixed the cause.
    AfterFix,
}

impl Retry {
    /// Every answer there is.
    pub const ALL: [Self; 3] = [Self::No, Self::Later, Self::AfterFix];

    /// As sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Later => "later",
            Self::AfterFix => "after-fix",
        }
    }

    /// What it means, in one sentence.
    pub fn summary(self) -> &'static str {
        match self {
            Self::No => "The same request gets the same answer. Change it first.",
            Self::Later => "The cause may pass by itself. Send the same request again, with a pause.",
            Self::AfterFix => "The same request can succeed once somebody has fixed the cause.",
        }
    }
}

/// How the command line exits. Scripts rely on the numbers: they never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// The command succeeded.
    Done,
    /// The work was tried and failed, or the server failed.
    Failed,
    /// The command line is wrong.
    Usage,
    /// No server answers.
    Unreachable,
    /// The server refused the request and changed nothing.
    Refused,
    /// What the command is about does not exist.
    NotFound,
    /// The server accepted the work, and it is not finished within the time given.
    Pending,
}

impl Exit {
    /// Every way to exit, in the order of the numbers.
    pub const ALL: [Self; 7] =
        [Self::Done, Self::Failed, Self::Usage, Self::Unreachable, Self::Refused, Self::NotFound, Self::Pending];

    /// The exit code of the process.
    pub fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Refused => 4,
            Self::NotFound => 5,
            Self::Pending => 6,
        }
    }

    /// What it means, as `--help` says it.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "it was tried and failed, or the server had an error",
            Self::Usage => "the command line is wrong",
            Self::Unreachable => "no server answers",
            Self::Refused => "refused: a field is wrong, a policy refuses, a name is taken; nothing was changed",
            Self::NotFound => "there is no such tenant, operation or plugin",
            Self::Pending => "accepted, but not finished within the time given",
        }
    }
}

impl Code {
    /// As stored and sent.
    pub fn slug(self) -> &'static str {
        self.meaning().slug
    }

    /// The inverse of [`Code::slug`]; `None` for a slug that this version does not know.
    pub fn parse(slug: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.slug() == slug)
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        self.meaning().status
    }

    /// How the command line exits.
    pub fn exit(self) -> Exit {
        self.meaning().exit
    }

    /// Whether the same request can succeed later.
    pub fn retry(self) -> Retry {
        self.meaning().retry
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.slug())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn slugs_are_distinct_and_lead_back_to_their_code() {
        let slugs: BTreeSet<_> = Code::ALL.iter().map(|code| code.slug()).collect();
        assert_eq!(slugs.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(Code::parse(code.slug()), Some(*code));
            assert!(code.slug().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{code}");
        }
        assert_eq!(Code::parse("no-such-code"), None);
    }

    #[test]
    fn status_exit_code_and_retry_agree() {
        for code in Code::ALL {
            let Meaning { status, exit, retry, area, .. } = *code.meaning();
            assert!((400..=599).contains(&status), "{code}");
            match exit {
                Exit::Failed => {}
                Exit::Refused => assert!(status < 500, "{code}: a refusal is not an error of the server"),
                Exit::NotFound => assert!([404, 410].contains(&status), "{code}"),
                other => panic!("{code} cannot end a command as {other:?}"),
            }
            if area == Area::Step {
                assert_eq!(exit, Exit::Failed, "{code}: the work was accepted and tried");
            }
            if status == 503 {
                assert_ne!(retry, Retry::No, "{code}: 503 says that it will be otherwise later");
            }
        }
    }

    #[test]
    fn every_code_says_in_sentences_what_it_means_and_what_to_do() {
        for code in Code::ALL {
            for text in [code.meaning().summary, code.meaning().action] {
                assert!(text.len() > 10 && text.ends_with('.') && !text.contains('\n'), "{code}: {text:?}");
                assert!(!text.contains('|'), "{code}: it would break the table of docs/errors.md: {text:?}");
            }
        }
    }
}
