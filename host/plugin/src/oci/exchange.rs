//! Asking a registry: who we are, where it sends us on to, and how much of an answer is read.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64;
use http_body_util::{BodyExt, Full};
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT, WWW_AUTHENTICATE,
};
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;
use tokio::time::timeout;
use url::Url;
use zeroize::Zeroizing;

use super::connection::{self, Answering, Rules, host};
use super::error::{Refusal, RegistryError};
use super::reference::Reference;
use super::settings::{Registry, RegistrySettings};

/// How often one request is sent on.
const MAX_REDIRECTS: usize = 5;
/// How long a body may stand still.
const STALLED: Duration = Duration::from_secs(30);
/// Bytes of an answer that is no component: tokens, errors.
const MAX_WORDS: u64 = 64 << 10;
/// Bytes of a file with a password.
const MAX_PASSWORD: u64 = 64 << 10;

/// What is done with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Pull,
    Push,
}

impl Action {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
        }
    }

    fn scope(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        }
    }
}

/// A conversation with one registry about one repository.
pub(super) struct Exchange {
    rules: Rules,
    base: Url,
    registry: String,
    repository: String,
    action: Action,
    credentials: Option<Credentials>,
    /// The value of the header, once the registry asked for one.
    authorization: Option<HeaderValue>,
}

/// A request, to be sent as often as it takes.
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

/// An answer, read whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Who gave it in the end.
    pub(super) url: Url,
}

struct Credentials {
    username: String,
    password: Zeroizing<String>,
}

impl Exchange {
    /// Reads the operator's credentials for the registry; asks nobody yet.
    pub(super) fn open(
        reference: &Reference,
        settings: &RegistrySettings,
        action: Action,
    ) -> Result<Self, RegistryError> {
        let registry = reference.registry();
        let wrong = |reason: String| RegistryError::Settings { registry: registry.clone(), reason };
        let listed = connection::listed(reference, settings);
        let credentials = listed.map(credentials).transpose().map_err(wrong)?.flatten();
        let rules = Rules::new(reference, settings);
        let base = Url::parse(&rules.base()).map_err(|error| wrong(error.to_string()))?;
        let repository = reference.repository().to_owned();
        Ok(Self { rules, base, registry, repository, action, credentials, authorization: None })
    }

    /// The URL of something of the repository: `manifests/1.2.0`.
    pub(super) fn url(&self, what: &str) -> Result<Url, RegistryError> {
        self.join(&self.base, &format!("/v2/{}/{what}", self.repository))
    }

    /// Where an answer points to.
    pub(super) fn join(&self, from: &Url, to: &str) -> Result<Url, RegistryError> {
        from.join(to).map_err(|_| RegistryError::Refused { host: host(from), refusal: Refusal::NotWeb })
    }

    /// Asks for something, and reads at most `limit` bytes of it.
    pub(super) async fn get(&mut self, what: &str, accept: &'static str, limit: u64) -> Result<Answer, RegistryError> {
        let headers = vec![(ACCEPT, HeaderValue::from_static(accept))];
        let ask = Ask { method: Method::GET, url: self.url(what)?, headers, body: Bytes::new() };
        self.ask(&ask, limit).await
    }

    /// Sends a request, a second time once the registry said how to say who we are. Bodies of errors are read whatever
    /// the limit is.
    pub(super) async fn ask(&mut self, ask: &Ask, limit: u64) -> Result<Answer, RegistryError> {
        let (url, answering) = self.follow(ask).await?;
        let status = answering.response.status();
        if status != StatusCode::UNAUTHORIZED || !self.rules.is_registry(&url) || self.authorization.is_some() {
            return read(url, answering, limit).await;
        }
        let challenges = answering.response.headers().get_all(WWW_AUTHENTICATE);
        let challenge = challenges.iter().filter_map(|value| value.to_str().ok()).find_map(Challenge::parse);
        self.authorization = match challenge {
            Some(challenge) => self.introduce(challenge).await?,
            None => None,
        };
        if self.authorization.is_none() {
            return Err(self.denied());
        }
        let (url, answering) = self.follow(ask).await?;
        read(url, answering, limit).await
    }

    /// What a registry means by refusing.
    pub(super) fn denied(&self) -> RegistryError {
        RegistryError::Denied {
            registry: self.registry.clone(),
            action: self.action.as_str(),
            repository: self.repository.clone(),
            known: self.credentials.is_some(),
        }
    }

    /// Any answer but the one that was hoped for.
    pub(super) fn unexpected(&self, answer: &Answer) -> RegistryError {
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.denied(),
            status => RegistryError::Status {
                host: host(&answer.url),
                status: status.as_u16(),
                message: message(&answer.body),
            },
        }
    }

    /// Sends a request on to where the registry keeps things. Only reading is sent on, and who we are is told to the
    /// registry alone.
    async fn follow(&self, ask: &Ask) -> Result<(Url, Answering), RegistryError> {
        let mut url = ask.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = Request::new(Full::new(ask.body.clone()));
            *request.method_mut() = ask.method.clone();
            let headers = request.headers_mut();
            headers.insert(USER_AGENT, HeaderValue::from_static("convergence"));
            for (name, value) in &ask.headers {
                headers.insert(name, value.clone());
            }
            if self.rules.is_registry(&url)
                && let Some(authorization) = &self.authorization
            {
                headers.insert(AUTHORIZATION, authorization.clone());
            }
            let answering = connection::send(&self.rules, &url, request).await?;
            let reading = ask.method == Method::GET || ask.method == Method::HEAD;
            let sent_on = matches!(answering.response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            let location = answering.response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            match location {
                Some(location) if reading && sent_on => url = self.join(&url, location)?,
                _ => return Ok((url, answering)),
            }
        }
        Err(RegistryError::Refused { host: host(&url), refusal: Refusal::TooManyRedirects })
    }

    /// Says who we are in the way the registry asked for.
    async fn introduce(&self, challenge: Challenge) -> Result<Option<HeaderValue>, RegistryError> {
        let Challenge::Bearer { realm, service } = challenge else {
            return Ok(self.credentials.as_ref().and_then(Credentials::basic));
        };
        let mut url = self.join(&self.base, &realm)?;
        let scope = format!("repository:{}:{}", self.repository, self.action.scope());
        let service = service.as_ref().map(|service| ("service", service.as_str()));
        url.query_pairs_mut().append_pair("scope", &scope).extend_pairs(service);
        let mut request = Request::new(Full::new(Bytes::new()));
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("convergence"));
        // A token service of another host is a usual thing; telling it the password for all to read is not.
        if (url.scheme() == "https" || self.rules.is_registry(&url))
            && let Some(basic) = self.credentials.as_ref().and_then(Credentials::basic)
        {
            request.headers_mut().insert(AUTHORIZATION, basic);
        }
        let answering = connection::send(&self.rules, &url, request).await?;
        let answer = read(url, answering, MAX_WORDS).await?;
        if answer.status != StatusCode::OK {
            return Err(self.unexpected(&answer));
        }
        let token: Token = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok(token.token.or(token.access_token).and_then(|token| secret(&Zeroizing::new(format!("Bearer {token}")))))
    }
}

impl Credentials {
    fn basic(&self) -> Option<HeaderValue> {
        let plain = Zeroizing::new(format!("{}:{}", self.username, self.password.as_str()));
        secret(&Zeroizing::new(format!("Basic {}", BASE64.encode(plain.as_bytes()))))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// How a registry wants to be told who we are.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

impl Challenge {
    /// Reads a header such as `Bearer realm="https://auth.example/token",service="registry"`.
    fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        let mut rest = rest.trim_start();
        while let Some((key, after)) = rest.split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_at(after.find(',').unwrap_or(after.len())),
            };
            match key.trim().to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value.to_owned()),
                "service" => service = Some(value.to_owned()),
                _ => {}
            }
            rest = after.trim_start().trim_start_matches(',').trim_start();
        }
        Some(Self::Bearer { realm: realm?, service })
    }
}

/// The body of an answer: of a good one at most `limit` bytes, of another as much as words take.
async fn read(url: Url, answering: Answering, limit: u64) -> Result<Answer, RegistryError> {
    let (parts, mut body) = answering.response.into_parts();
    let limit = if parts.status.is_success() { limit } else { MAX_WORDS };
    let unreachable = |reason: String| RegistryError::Unreachable { host: host(&url), reason };
    let mut bytes = Vec::new();
    loop {
        let frame = match timeout(STALLED, body.frame()).await {
            Ok(None) => break,
            Ok(Some(frame)) => frame.map_err(|error| unreachable(format!("its answer broke off: {error}")))?,
            Err(_) => return Err(unreachable(format!("its answer stood still for {} s", STALLED.as_secs()))),
        };
        let Ok(data) = frame.into_data() else { continue };
        if (bytes.len() as u64).saturating_add(data.len() as u64) > limit {
            return Err(RegistryError::TooLarge { what: "answer of the registry", limit });
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Answer { status: parts.status, headers: parts.headers, body: bytes, url })
}

/// What a registry says to an error, `{"errors":[{"code":…,"message":…}]}`, on one line.
fn message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let Ok(Errors { errors }) = serde_json::from_slice(body) else { return String::new() };
    let words: Vec<String> =
        errors.into_iter().take(3).map(|One { code, message }| format!("{code} {message}")).collect();
    let line: String = words.join("; ").chars().filter(|c| !c.is_control()).take(300).collect();
    line.trim().to_owned()
}

/// A header that is kept out of logs.
fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn credentials(registry: &Registry) -> Result<Option<Credentials>, String> {
    match (&registry.username, &registry.password_file) {
        (None, None) => Ok(None),
        (Some(username), Some(file)) => {
            if username.is_empty() || username.contains(':') || username.chars().any(char::is_control) {
                return Err("`username` is empty or holds `:` or control characters".to_owned());
            }
            let password = password(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            Ok(Some(Credentials { username: username.clone(), password }))
        }
        _ => Err("`username` and `password-file` belong together".to_owned()),
    }
}

/// The first line of a file.
fn password(path: &Path) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    File::open(path)?.take(MAX_PASSWORD).read_to_string(&mut text)?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// For bodies that are not JSON and not a component.
pub(super) fn content_type(value: &'static str) -> (HeaderName, HeaderValue) {
    (CONTENT_TYPE, HeaderValue::from_static(value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
        };
        for (header, expected) in [
            ("Basic realm=\"basic-realm\"", Some(Challenge::Basic)),
            (
                "Bearer realm=\"https://auth.example/token\",service=\"registry\",scope=\"repository:a/b:pull,push\"",
                bearer("https://auth.example/token", Some("registry")),
            ),
            ("bearer service=registry, realm=\"/token?a=b\"", bearer("/token?a=b", Some("registry"))),
            ("Bearer realm=\"unfinished", None),
            ("Bearer", None),
            ("Negotiate", None),
        ] {
            assert_eq!(Challenge::parse(header), expected, "{header}");
        }
    }

    #[test]
    fn what_a_registry_says_becomes_one_line() {
        let body = br#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name\n not known","detail":{}}]}"#;
        assert_eq!(message(body), "NAME_UNKNOWN repository name not known");
        assert_eq!(message(b"<html>"), "");
    }
}
