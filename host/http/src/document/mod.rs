//! What the OpenAPI document says of a route, made from the types of its handler.
//!
//! Every extractor is a [`Part`] and everything a handler answers is an [`Answers`]; each adds the parameters, bodies and
//! responses that it brings. [`route!`](crate::document::route) is the only way to register a handler, and it asks all of
//! them. So a route cannot forget a response: a handler whose types do not say what they bring does not compile.

pub(crate) mod answer;
mod draft;
mod handler;
pub(crate) mod kept;
pub(crate) mod refusal;

pub(crate) use answer::{Accepted, Created, Either, Follow, Linked, NoContent, Replayable};
pub(crate) use draft::{Draft, Link, text};
pub(crate) use handler::{fill, route};
pub(crate) use refusal::{Absent, Fails, problems};

/// Something that a handler takes from a request.
pub(crate) trait Part {
    /// Adds the parameters or the body it reads, and the codes it refuses a request with.
    fn describe(draft: &mut Draft);
}

/// Something that a handler answers.
pub(crate) trait Answers {
    /// Adds the responses it can be.
    fn describe(draft: &mut Draft);
}

impl<T> Part for axum::extract::State<T> {
    fn describe(_draft: &mut Draft) {}
}

impl<T: Answers, E: Answers> Answers for Result<T, E> {
    fn describe(draft: &mut Draft) {
        T::describe(draft);
        E::describe(draft);
    }
}
