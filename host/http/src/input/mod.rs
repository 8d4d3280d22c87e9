//! What a request says, held against what the document says that it may say.
//!
//! A body and the query parameters are compared with the very schema that the OpenAPI document shows, before anything
//! else looks at them. So a range, a length or a form that is documented is checked, and nothing is checked so without being
//! documented. Every wrong field is named in one answer, in words of our own.

mod body;
mod json;
mod query;
mod schema;
mod words;

#[cfg(test)]
pub(crate) use body::BODY_MAX;
pub(crate) use body::{Body, Drafted, content_type, read_json};
pub(crate) use query::Query;
pub(crate) use schema::merged;
