//! Pulling an image.
//!
//! The request is made here and not by bollard, which encodes credentials in another alphabet than the engine reads: a password
//! with a `?` or a `~` at an unlucky place would be taken for none at all.

use bollard::models::CreateImageInfo;
use convergence_model::build::BuildLine;
use convergence_model::{ImageRepository, RegistryCredentials};
use data_encoding::BASE64URL;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response, StatusCode};
use serde::de::IgnoredAny;

use super::build::refusal;
use super::connect::{Docker, Fault, bounded};
use super::raw::{Body, document, escape, without_a_body};
use crate::builder::{Progress, Pull};
use crate::error::RuntimeError;

/// What the engine takes credentials from.
const CREDENTIALS: &str = "x-registry-auth";
/// What the engine calls Docker Hub in credentials.
const HUB: &str = "https://index.docker.io/v1/";
/// Bytes of one line of the engine's answer, or of a refusal.
const LONGEST_LINE: usize = 1 << 20;

impl Docker {
    /// Has the engine pull an image.
    pub(super) async fn pull(&self, reference: &str, pull: &Pull, progress: Progress<'_>) -> Result<(), RuntimeError> {
        let pulled = async {
            // An engine that has what a digest names pulls it without asking whether it may.
            if pull.ask_registry && reference.contains('@') {
                let path = format!("/distribution/{reference}/json");
                let request = self.on_behalf(Method::GET, &path, reference, pull).await?;
                let _: IgnoredAny = self.exchange(request, document).await?;
            }
            let path = format!("/images/create?fromImage={}", escape(&with_tag(reference)));
            let request = self.on_behalf(Method::POST, &path, reference, pull).await?;
            self.exchange(request, |response| follow(reference, response, progress)).await
        };
        pulled.await.map_err(|fault| match fault {
            Fault::Refused { message, .. } => {
                RuntimeError::PullFailed { reference: reference.to_owned(), message: bounded(&without_body(&message)) }
            }
            fault => fault.into_error(self),
        })
    }

    /// A request about an image, with the credentials for its registry.
    async fn on_behalf(
        &self,
        method: Method,
        path: &str,
        reference: &str,
        pull: &Pull,
    ) -> Result<Request<Body>, Fault> {
        let mut request = self.request_to(method, path).await?;
        // For this host alone, whatever the caller has looked up.
        let host = ImageRepository::of(reference).map(|repository| repository.host);
        if let Some(credentials) = pull.credentials.as_ref().filter(|known| Some(&known.host) == host.as_ref()) {
            request = request.header(CREDENTIALS, authorization(credentials)?);
        }
        without_a_body(request)
    }
}

/// Reads how a pull goes, until it is over.
async fn follow(reference: &str, response: Response<Incoming>, progress: Progress<'_>) -> Result<(), Fault> {
    let status = response.status();
    let mut body = response.into_body();
    let (mut pending, mut last) = (Vec::new(), String::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Fault::Lost(error.to_string()))?;
        let Some(data) = frame.data_ref() else { continue };
        pending.extend_from_slice(data);
        while status == StatusCode::OK
            && let Some(end) = pending.iter().position(|byte| *byte == b'\n')
        {
            let line: Vec<u8> = pending.drain(..=end).collect();
            tell(reference, &line, &mut last, progress)?;
        }
        if pending.len() > LONGEST_LINE {
            break;
        }
    }
    if status != StatusCode::OK {
        return Err(Fault::Refused { status: status.as_u16(), message: refusal(&pending) });
    }
    tell(reference, &pending, &mut last, progress)
}

/// Passes a line on, or says why there is no image.
fn tell(reference: &str, line: &[u8], last: &mut String, progress: Progress<'_>) -> Result<(), Fault> {
    if line.trim_ascii().is_empty() {
        return Ok(());
    }
    let line: CreateImageInfo = serde_json::from_slice(line).map_err(|error| Fault::Refused {
        status: 0,
        message: format!("the engine's answer cannot be read: {error}"),
    })?;
    if let Some(message) = line.error_detail.and_then(|detail| detail.message) {
        return Err(Fault::Refused { status: 0, message });
    }
    // Layers report every few kilobytes; what they are doing is news, how far they are is not.
    let status = bounded(&line.status.unwrap_or_default());
    let text = line.id.map(|id| format!("{id}: {status}")).unwrap_or(status);
    if text != *last && !text.is_empty() {
        progress(BuildLine { step: format!("pull {reference}"), text: text.clone() });
        *last = text;
    }
    Ok(())
}

/// A message without what was answered instead of what registries answer. A registry may have sent the engine to an address that
/// only the engine reaches: what is there is not for who asked.
fn without_body(message: &str) -> String {
    const BEGIN: &str = "error parsing HTTP ";
    const END: &str = " response body";
    let end = message.find(BEGIN).and_then(|begin| {
        let after = begin + BEGIN.len();
        Some(after + message.get(after..)?.find(END)? + END.len())
    });
    match end.and_then(|end| message.get(..end)) {
        Some(told) => format!("{told}: it is not what a registry answers"),
        None => message.to_owned(),
    }
}

/// The header with which the engine logs in to the registry.
fn authorization(credentials: &RegistryCredentials) -> Result<HeaderValue, Fault> {
    let RegistryCredentials { host, user, password } = credentials;
    let server = if host.is_hub() { HUB } else { host.as_str() };
    let document =
        serde_json::json!({ "username": user, "password": password.expose(), "serveraddress": server }).to_string();
    let mut value = HeaderValue::try_from(BASE64URL.encode(document.as_bytes()))
        .map_err(|error| Fault::Refused { status: 0, message: error.to_string() })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A reference with neither tag nor digest means `latest`; the engine would pull every tag there is.
fn with_tag(reference: &str) -> String {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    if last.contains([':', '@']) { reference.to_owned() } else { format!("{reference}:latest") }
}

#[cfg(test)]
mod tests {
    //! What is sent, and how answers are read.
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use convergence_model::{RegistryHost, Secret};

    use super::*;

    #[test]
    fn a_tag_is_not_mistaken_for_a_port() {
        assert_eq!(with_tag("node"), "node:latest");
        assert_eq!(with_tag("registry.example:5000/node"), "registry.example:5000/node:latest");
        assert_eq!(with_tag("node@sha256:ab"), "node@sha256:ab");
    }

    #[test]
    fn credentials_are_written_as_the_engine_reads_them() {
        for (host, server) in [("docker.io", HUB), ("registry.example:5000", "registry.example:5000")] {
            for password in ["correct horse", "???~~~>>>", "pässwörd\n"] {
                let credentials = RegistryCredentials {
                    host: RegistryHost::parse(host).unwrap(),
                    user: "robot".to_owned(),
                    password: Secret::new(password),
                };
                let value = authorization(&credentials).unwrap();
                assert!(value.is_sensitive());
                let document = BASE64URL.decode(value.as_bytes()).unwrap();
                let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
                let expected =
                    serde_json::json!({ "username": "robot", "password": password, "serveraddress": server });
                assert_eq!(document, expected);
            }
        }
    }

    #[test]
    fn what_no_registry_answers_is_not_passed_on() {
        let told =
            "error parsing HTTP 404 response body: invalid character 'p' looking for beginning of value: \"planted\"";
        assert_eq!(without_body(told), "error parsing HTTP 404 response body: it is not what a registry answers");
        assert_eq!(without_body("manifest unknown"), "manifest unknown");
    }

    #[test]
    fn an_answer_tells_what_happens_once_and_why_it_failed() {
        let (mut told, mut last) = (Vec::new(), String::new());
        let mut progress = |line: BuildLine| told.push(line.text);
        for line in [
            r#"{"status":"Pulling from app","id":"1"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":1,"total":2},"id":"ab"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":2,"total":2},"id":"ab"}"#,
            "\r\n",
        ] {
            tell("app:1", line.as_bytes(), &mut last, &mut progress).map_err(|_| line).unwrap();
        }
        let failed = r#"{"errorDetail":{"message":"unauthorized"},"error":"unauthorized"}"#;
        let failed = tell("app:1", failed.as_bytes(), &mut last, &mut progress);
        assert!(matches!(failed, Err(Fault::Refused { message, .. }) if message == "unauthorized"));
        assert_eq!(told, ["1: Pulling from app", "ab: Downloading"]);
    }
}
