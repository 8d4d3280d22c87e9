//! One operation of the document while the types of its handler describe it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use convergence_model::{Code, Retry};
use serde_json::json;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Content, Header, Ref, RefOr, Required, Response};
use utoipa::{IntoParams, ToSchema};

use crate::problem::{Form, ProblemDocument, Refusal};

/// The media type of every problem.
const PROBLEM: &str = "application/problem+json";

/// Where a response leads: the name of the link, the operation, its parameter, and where its value is in the response.
pub(crate) type Link = (&'static str, &'static str, &'static str, &'static str);

/// One operation of the document.
pub(crate) struct Draft {
    operation: Operation,
    schemas: Vec<(String, RefOr<Schema>)>,
    codes: BTreeSet<Code>,
    form: Form,
}

impl Draft {
    /// Begins with what the annotation of the handler says.
    pub(crate) fn of(path: &str, operation: Operation, schemas: Vec<(String, RefOr<Schema>)>) -> Self {
        // Refused around the routes, whatever the route: `request.rs`.
        let codes = BTreeSet::from([Code::MalformedRequest, Code::Internal]);
        Self { operation, schemas, codes, form: Form::of(path) }
    }

    /// Codes that a request can be refused with.
    pub(crate) fn codes(&mut self, codes: impl IntoIterator<Item = Code>) {
        self.codes.extend(codes);
    }

    /// The schema of a type, named in the components.
    pub(crate) fn schema<T: ToSchema>(&mut self) -> RefOr<Schema> {
        T::schemas(&mut self.schemas);
        debug_assert!(
            is_named_once::<T>(),
            "two types are called {} in the document; give one another name",
            T::name()
        );
        self.schemas.push((T::name().into_owned(), T::schema()));
        Ref::from_schema_name(T::name()).into()
    }

    /// Query parameters, as a type lists them.
    pub(crate) fn query<T: IntoParams>(&mut self) {
        for parameter in T::into_params(|| Some(ParameterIn::Query)) {
            self.parameter(parameter);
        }
    }

    /// A parameter of the path.
    pub(crate) fn path(&mut self, name: &str, schema: ObjectBuilder, description: &str) {
        self.parameter(parameter(ParameterIn::Path, Required::True, name, schema, description));
    }

    /// A header that a request may have.
    pub(crate) fn header(&mut self, name: &str, schema: ObjectBuilder, description: &str) {
        self.parameter(parameter(ParameterIn::Header, Required::False, name, schema, description));
    }

    /// What an extractor says of a parameter is said instead of anything that was said before.
    fn parameter(&mut self, parameter: Parameter) {
        let parameters = self.operation.parameters.get_or_insert_default();
        let same = |known: &RefOr<Parameter>| match known {
            RefOr::T(known) => known.name == parameter.name && known.parameter_in == parameter.parameter_in,
            RefOr::Ref(_) => false,
        };
        parameters.retain(|known| !same(known));
        parameters.push(RefOr::T(parameter));
    }

    /// A body that a request must have, in one of these forms.
    pub(crate) fn body(&mut self, forms: impl IntoIterator<Item = (&'static str, Content)>) {
        let body = forms
            .into_iter()
            .fold(RequestBodyBuilder::new().required(Some(Required::True)), |body, form| body.content(form.0, form.1));
        let body: RequestBody = body.build();
        self.operation.request_body = Some(RefOr::T(body));
    }

    /// A response. One status may be answered in several media types.
    pub(crate) fn answer(&mut self, status: u16, description: &str, forms: Vec<(&'static str, Content)>) {
        let response = self.response(status);
        if !response.description.contains(description) {
            let separator = if response.description.is_empty() { "" } else { " Or: " };
            response.description = format!("{}{separator}{description}", response.description);
        }
        response.content.extend(forms.into_iter().map(|(media, content)| (media.to_owned(), RefOr::T(content))));
    }

    /// A JSON response, described as its type is.
    pub(crate) fn json<T: ToSchema>(&mut self, status: u16) {
        let description = describes(&T::schema());
        let content = Content::new(Some(self.schema::<T>()));
        self.answer(status, &description, vec![("application/json", content)]);
    }

    /// A header that a response has.
    pub(crate) fn response_header(&mut self, status: u16, name: &str, kind: Type, description: &str) {
        let header = header(kind, description);
        self.response(status).headers.insert(name.to_owned(), RefOr::T(header));
    }

    /// A header that every response has of those that were described so far.
    pub(crate) fn every_response_header(&mut self, name: &str, description: &str) {
        for response in self.operation.responses.responses.values_mut() {
            if let RefOr::T(response) = response {
                response.headers.insert(name.to_owned(), RefOr::T(header(Type::String, description)));
            }
        }
    }

    /// Where a response leads.
    pub(crate) fn links(&mut self, status: u16, links: &[Link]) {
        let response = self.response(status);
        for (name, operation, parameter, expression) in links {
            let link = LinkBuilder::new().operation_id(*operation).parameter(*parameter, json!(expression)).build();
            response.links.insert((*name).to_owned(), RefOr::T(link));
        }
    }

    fn response(&mut self, status: u16) -> &mut Response {
        let responses = &mut self.operation.responses.responses;
        let response = responses.entry(status.to_string()).or_insert_with(|| RefOr::T(Response::default()));
        if let RefOr::Ref(_) = response {
            *response = RefOr::T(Response::default());
        }
        match response {
            RefOr::T(response) => response,
            // Replaced two lines above; a loop would be the only other way to say so.
            RefOr::Ref(_) => unreachable!("a response of this draft is never a reference"),
        }
    }

    /// Adds a response for each status that a code has, and hands over.
    pub(crate) fn finish(mut self, id: String) -> (Operation, Vec<(String, RefOr<Schema>)>) {
        let (media, error) = match self.form {
            Form::Problem => (PROBLEM, self.schema::<ProblemDocument>()),
            Form::Plain => ("application/json", self.schema::<Refusal>()),
        };
        let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
        for code in &self.codes {
            by_status.entry(code.status()).or_default().push(*code);
        }
        for (status, codes) in by_status {
            let lines = codes.iter().map(|code| format!("- `{code}`: {}", code.meaning().summary));
            let description = lines.collect::<Vec<_>>().join("\n");
            let schema = match self.form {
                Form::Problem => with_code(error.clone(), &codes),
                Form::Plain => error.clone(),
            };
            self.answer(status, &description, vec![(media, Content::new(Some(schema)))]);
            if status == 503 && codes.iter().any(|code| code.meaning().retry == Retry::Later) {
                let description =
                    "Seconds after which the same request may succeed, where the cause may pass by itself.";
                self.response_header(status, "Retry-After", Type::Integer, description);
            }
        }
        let description = "The id of the request, as the server's log has it.";
        for response in self.operation.responses.responses.values_mut() {
            if let RefOr::T(response) = response {
                response.headers.insert("X-Request-Id".to_owned(), RefOr::T(header(Type::String, description)));
            }
        }
        self.operation.operation_id = Some(id);
        (self.operation, self.schemas)
    }
}

/// Whether no other type has this one's name: of two, the document would have the one that comes last.
fn is_named_once<T: ToSchema>() -> bool {
    static NAMED: Mutex<BTreeMap<String, &str>> = Mutex::new(BTreeMap::new());
    let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
    let of_type = std::any::type_name::<T>();
    *named.entry(T::name().into_owned()).or_insert(of_type) == of_type
}

/// A problem that has one of these codes.
fn with_code(problem: RefOr<Schema>, codes: &[Code]) -> RefOr<Schema> {
    let words = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes.iter().map(|c| c.slug())));
    let narrowed = ObjectBuilder::new().schema_type(Type::Object).property("code", words);
    let schema = AllOfBuilder::new().item(problem).item(narrowed);
    RefOr::T(Schema::AllOf(schema.build()))
}

fn parameter(
    place: ParameterIn,
    required: Required,
    name: &str,
    schema: ObjectBuilder,
    description: &str,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .schema(Some(schema.build()))
        .description(Some(description))
        .build()
}

fn header(kind: Type, description: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(kind).build();
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}

/// A schema of text.
pub(crate) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// What a type says of itself.
fn describes(schema: &RefOr<Schema>) -> String {
    let said = match schema {
        RefOr::T(Schema::Object(object)) => object.description.clone(),
        _ => None,
    };
    said.unwrap_or_default()
}
