//! From a template's plan to the text Docker and Compose read.
//!
//! A plan is untrusted data. [`guard`] looks at all of it and makes a [`GuardedPlan`]; only that can be
//! rendered: [`dockerfile`], [`context`], [`project`] and [`compose`]. Nothing a plan or a user wrote is
//! pasted into a text: arguments become JSON, variables are quoted and escaped, YAML comes from a serializer.
//!
//! This room never does IO, never reads a clock, never talks to an engine, and gives the same text for the
//! same input, byte for byte: an image is named after what it was built from.

mod compose;
mod context;
mod dockerfile;
mod escape;
pub mod guard;
pub mod images;
mod own_dockerfile;
mod workload;

pub use compose::compose;
pub use context::{context, image_tag};
pub use dockerfile::{Bases, CA_TARGET, DockerfileOptions, FOLDERS_STAGE, dockerfile};
pub use guard::{GuardedPlan, Rules, guard};
pub use images::{ImagePolicy, ImageRefused, Resolved};
pub use own_dockerfile::OwnDockerfile;
pub use workload::{Platform, Projection, names, project, run};
