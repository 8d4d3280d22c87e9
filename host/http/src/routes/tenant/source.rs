//! Where an application comes from, as clients write it.

use convergence_model::source::NotADigest;
use convergence_model::{GitSource, Secret, Source, Violation};
use convergence_source::GitAddress;
use serde::Deserialize;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, SchemaType, Type};

use crate::document::text;
use crate::routes::source::refusal::wrong_with;

/// An application of one's own: exactly one of the fields is there.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SourceBody {
    archive: Option<String>,
    git: Option<GitBody>,
    image: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct GitBody {
    // Absent only where the schema has told so already.
    url: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    token: Option<Secret>,
}

/// What `SourceBody::check` checks.
pub(crate) fn source_schema() -> Schema {
    let described = |schema: ObjectBuilder, text: &str| schema.description(Some(text)).build();
    let archive = text().pattern(Some("^sha256:[0-9a-f]{64}$"));
    let git = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("url", described(text().max_length(Some(2048)), "`https://host/path`, without a user name."))
        .property(
            "ref",
            described(
                text().max_length(Some(255)),
                "A branch, a tag or the full hash of a commit; the default branch where absent.",
            ),
        )
        .property(
            "token",
            described(
                text().max_length(Some(4096)),
                "What proves that the repository may be read; used once and not stored.",
            ),
        )
        .required("url")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    let source = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some("Where the application comes from: exactly one of the fields."))
        .property("archive", described(archive, "The digest of an archive, as its upload answered it."))
        .property("git", described(git, "A Git repository on a host that the operator allows."))
        .property(
            "image",
            described(
                text().min_length(Some(1)).max_length(Some(255)),
                "An image that is built already and on the operator's allowlist, run as it is.",
            ),
        )
        .min_properties(Some(1))
        .max_properties(Some(1))
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    Schema::Object(source.build())
}

impl SourceBody {
    /// The source, or what is wrong with it.
    pub(crate) fn check(self, wrong: &mut Vec<Violation>) -> Option<Source> {
        let checked = match self {
            Self { archive: Some(digest), git: None, image: None } => digest
                .parse()
                .map(Source::Archive)
                .map_err(|error: NotADigest| Violation::deny("source.archive", "bad-form", error.to_string())),
            Self { archive: None, git: Some(git), image: None } => git.check(),
            Self { archive: None, git: None, image: Some(image) } => Ok(Source::Image(image)),
            _ => {
                let message = "name where the application comes from by one of `archive`, `git` and `image`";
                Err(Violation::deny("source", "bad-form", message))
            }
        };
        checked.map_err(|violation| wrong.push(violation)).ok()
    }

    /// The digest of an archive.
    pub(crate) fn archive(&self) -> Option<&str> {
        self.archive.as_deref()
    }

    /// What tells a repository or an image from another one. What proves that a repository may be read does not.
    pub(crate) fn asked(&self) -> Option<String> {
        if let Some(image) = &self.image {
            return Some(format!("image {image}"));
        }
        let GitBody { url, reference, .. } = self.git.as_ref()?;
        Some(format!("git {} {}", url.as_deref().unwrap_or_default(), reference.as_deref().unwrap_or_default()))
    }
}

impl GitBody {
    fn check(self) -> Result<Source, Violation> {
        let Self { url, reference, token } = self;
        let Some(url) = url else {
            return Err(Violation::deny("source.git.url", "required", "name the repository: `https://host/path`"));
        };
        let address = GitAddress::parse(&url, reference.as_deref());
        if let Some(violation) = address.err().and_then(|error| wrong_with(&error)) {
            return Err(violation);
        }
        Ok(Source::Git(GitSource { url, reference, token, fetched: None }))
    }
}
