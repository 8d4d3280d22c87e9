//! What the OpenAPI document says of codes: a closed list of words, made from the table in `model`.

use std::borrow::Cow;

use convergence_model::{Code, Retry};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// The schema of a [`Code`].
#[derive(Debug)]
pub(crate) struct CodeSchema;

/// The schema of a [`Retry`].
#[derive(Debug)]
pub(crate) struct RetrySchema;

impl PartialSchema for CodeSchema {
    fn schema() -> RefOr<Schema> {
        let meanings =
            Code::ALL.iter().map(|code| format!("- `{code}` ({}): {}", code.status(), code.meaning().summary));
        words(Code::ALL.iter().map(|code| code.slug()), "Why a request was refused or an operation failed.", meanings)
    }
}

impl ToSchema for CodeSchema {
    fn name() -> Cow<'static, str> {
        "Code".into()
    }
}

impl PartialSchema for RetrySchema {
    fn schema() -> RefOr<Schema> {
        let meanings = Retry::ALL.iter().map(|retry| format!("- `{}`: {}", retry.as_str(), retry.summary()));
        words(
            Retry::ALL.iter().map(|retry| retry.as_str()),
            "Whether sending the same request again can help.",
            meanings,
        )
    }
}

impl ToSchema for RetrySchema {
    fn name() -> Cow<'static, str> {
        "Retry".into()
    }
}

/// One of these words.
fn words(
    words: impl Iterator<Item = &'static str>,
    summary: &str,
    meanings: impl Iterator<Item = String>,
) -> RefOr<Schema> {
    let description = [summary.to_owned(), String::new()].into_iter().chain(meanings).collect::<Vec<_>>().join("\n");
    let object = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).description(Some(description));
    object.build().into()
}
