//! Which line of defence stopped a plugin.

use std::fmt;

use crate::error::{CallError, LoadError};

/// The lines of defence, in the order a plugin meets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// A look at the bytes, before anything expensive: size, shape, kind and version.
    Structure,
    /// What it imports, and whether that and what it exports have the types of the contract.
    Imports,
    /// Validation and compilation, in bounds.
    Compile,
    /// What it says about itself when it is loaded.
    Describe,
    /// The limits of a call, and what the contract says of its answer.
    Call,
    /// What the host makes sure of before it acts on an answer (`render::guard`).
    Guard,
}

impl Layer {
    /// In one word, lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Structure => "structure",
            Self::Imports => "imports",
            Self::Compile => "compile",
            Self::Describe => "describe",
            Self::Call => "call",
            Self::Guard => "guard",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl LoadError {
    /// Where the component was stopped.
    #[must_use]
    pub fn layer(&self) -> Layer {
        match self {
            Self::TooLarge { .. }
            | Self::NotWasm
            | Self::CoreModule
            | Self::Malformed(_)
            | Self::TooComplex { .. }
            | Self::UnknownKind { .. }
            | Self::SeveralKinds
            | Self::UnsupportedVersion { .. }
            | Self::SeveralVersions { .. }
            | Self::Async
            | Self::NoMetadata => Layer::Structure,
            Self::WasiRefused { .. }
            | Self::WasiVersion { .. }
            | Self::ImportNotGranted { .. }
            | Self::WrongTypes { .. } => Layer::Imports,
            Self::Compile(_) => Layer::Compile,
            Self::Call { .. } | Self::Description { .. } => Layer::Describe,
        }
    }
}

impl CallError {
    /// Where the call was stopped: there is one answer.
    #[must_use]
    pub fn layer(&self) -> Layer {
        Layer::Call
    }
}
