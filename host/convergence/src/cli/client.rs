//! The HTTP client of every command.

use std::time::Duration;

use convergence_model::Code;
use convergence_model::ids::Ids;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use super::exit::Failure;
use crate::boot::SystemIds;

/// Time to connect; answers may take as long as the work does.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a question may take that changes nothing.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the search for a hint may take.
const HINT: Duration = Duration::from_secs(3);

/// Between two attempts to reach a server that went away.
pub(crate) const PAUSE: Duration = Duration::from_millis(500);
/// How long a server may stay away.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);

/// Where a server listens unless it is told otherwise.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:3000";

/// Talks to one server.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    /// A client of the server at `base`, as [`base`] made it.
    pub(crate) fn new(base: &str) -> Result<Self, Failure> {
        let base = base.to_owned();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .no_proxy()
            .build()
            .map_err(|error| Failure::Failed(format!("cannot make an HTTP client: {error}")))?;
        Ok(Self { http, base })
    }

    /// The server's address, as it was named.
    pub(crate) fn url(&self) -> &str {
        &self.base
    }

    /// The machine that the server is on.
    pub(crate) fn host(&self) -> Option<String> {
        Url::parse(&self.base).ok()?.host().map(|host| host.to_string())
    }

    /// A request; `path` begins with `/`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Sends it; an answer that is a problem is a failure.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let (http, request) = request.build_split();
        let request = request.map_err(|error| self.unreachable(&error))?;
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let answer = http.execute(request);
        let answer = if method == Method::GET {
            tokio::time::timeout(PATIENCE, answer).await.map_err(|_| {
                let seconds = PATIENCE.as_secs();
                Failure::Unreachable(format!("the server at {} has not answered within {seconds} s", self.base))
            })?
        } else {
            answer.await
        };
        let response = answer.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let mut problem = response.json().await.unwrap_or_else(|_| not_ours(status));
        self.advise(&path, &mut problem).await;
        Err(Failure::Problem(status.as_u16(), problem))
    }

    /// Adds to a problem what only this side can know: what is called like what was not found, and which version asks.
    async fn advise(&self, path: &str, problem: &mut Value) {
        let code = problem.get("code").and_then(Value::as_str).and_then(Code::parse);
        let advice = match code {
            Some(Code::NoSuchPath | Code::WrongMethod) => {
                let version = env!("CARGO_PKG_VERSION");
                let text =
                    format!("the server may be older than this client ({version}); use the same version of both");
                Some(("next", text))
            }
            Some(Code::NotFound) => self.nearest(path).await.map(|name| ("didYouMean", name)),
            _ => None,
        };
        if let (Some((key, text)), Some(problem)) = (advice, problem.as_object_mut()) {
            problem.insert(key.to_owned(), text.into());
        }
    }

    /// The name most like the one in this path, which names nothing. Best effort: it is only a hint.
    async fn nearest(&self, path: &str) -> Option<String> {
        let (list, nouns, key) = [("/api/v1/tenant/", "tenants", "name"), ("/api/v1/plugins/", "plugins", "id")]
            .into_iter()
            .find(|(prefix, ..)| path.starts_with(prefix))?;
        // Of what is encoded in a path only the space can be part of a name.
        let name = path.strip_prefix(list)?.split('/').next()?.replace("%20", " ");
        let url = format!("{}{}", self.base, list.trim_end_matches('/'));
        let answer = self.http.get(url).query(&[("limit", "1000")]).timeout(HINT).send().await.ok()?;
        let document: Value = answer.json().await.ok()?;
        let names = document.get(nouns)?.as_array()?.iter().filter_map(|one| one.get(key)?.as_str());
        // The name itself leads somewhere: what is not there is below it.
        closest(&name, names).filter(|found| *found != name).map(str::to_owned)
    }

    /// Sends it and reads a JSON document.
    pub(crate) async fn json(&self, request: RequestBuilder) -> Result<(StatusCode, Value), Failure> {
        let response = self.send(request).await?;
        let status = response.status();
        let document = response.json().await.map_err(|error| self.unreachable(&error))?;
        Ok((status, document))
    }

    /// The same of a request that begins something. It gets a key of its own, so that it can be sent again where its answer
    /// was lost, and is done once all the same.
    pub(crate) async fn json_once(&self, request: RequestBuilder) -> Result<(StatusCode, Value), Failure> {
        let request = request.header("idempotency-key", SystemIds.uuid().to_string());
        let (mut silence, mut sent) = (Duration::ZERO, false);
        loop {
            let again = request.try_clone().ok_or_else(|| Failure::Failed("it cannot be sent twice".to_owned()))?;
            let answer = async {
                let response = again.send().await?;
                let status = response.status();
                Ok::<_, reqwest::Error>((status, response.bytes().await?))
            };
            match answer.await {
                Ok((status, bytes)) => {
                    let document = serde_json::from_slice(&bytes).unwrap_or_else(|_| not_ours(status));
                    let code = document.get("code").and_then(Value::as_str);
                    let stops = [Code::Stopping, Code::Starting].iter().any(|passing| code == Some(passing.slug()));
                    if status.is_success() {
                        return Ok((status, document));
                    }
                    if !stops || silence >= SILENCE {
                        return Err(Failure::Problem(status.as_u16(), document));
                    }
                }
                // Where nothing answers from the beginning, nothing was asked.
                Err(error) if (error.is_connect() && !sent) || error.is_builder() || silence >= SILENCE => {
                    return Err(self.unreachable(&error));
                }
                Err(_) => {}
            }
            sent = true;
            tokio::time::sleep(PAUSE).await;
            silence += PAUSE;
        }
    }

    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        if error.is_connect() {
            Failure::Unreachable(format!(
                "no server answers at {}; start one with `convergence serve`, or name another with --url",
                self.base
            ))
        } else {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            Failure::Unreachable(format!(
                "the connection to {} broke{cause}; what was asked may still happen",
                self.base
            ))
        }
    }
}

fn not_ours(status: StatusCode) -> Value {
    serde_json::json!({ "detail": format!("the server answered {status}, and not like a Convergence server; is --url right?") })
}

/// Where a server is, as `--url` or `CONVERGENCE_URL` says it: `http://` may be left out, `/api/v1` may stand behind it.
///
/// # Errors
/// It is not the URL of a server, or one that is spoken to with TLS.
pub(crate) fn base(text: &str) -> Result<String, String> {
    // A variable that is set to nothing is as good as absent.
    let text = if text.is_empty() { DEFAULT_URL } else { text };
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&whole).map_err(|error| format!("{error}; write for example {DEFAULT_URL}"))?;
    match url.scheme() {
        "http" => {}
        "https" => return Err("this version does not speak TLS; use http://".to_owned()),
        other => return Err(format!("the scheme {other}:// is not http://; write for example {DEFAULT_URL}")),
    }
    let extra =
        url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some();
    if extra {
        return Err(format!("a user, a query or a fragment is not allowed; write for example {DEFAULT_URL}"));
    }
    Ok(url.as_str().trim_end_matches('/').trim_end_matches("/api/v1").to_owned())
}

/// The name that somebody most likely meant.
fn closest<'a>(meant: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let meant = meant.to_lowercase();
    let far = meant.chars().count().div_ceil(3);
    let distances = names.map(|name| (strsim::osa_distance(&meant, &name.to_lowercase()), name));
    distances.filter(|(distance, _)| *distance <= far).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_with_or_without_scheme_and_path() {
        for (text, expected) in [
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("localhost:3000", "http://localhost:3000"),
            ("127.0.0.1:3000/api/v1/", "http://127.0.0.1:3000"),
            ("[::1]:3000", "http://[::1]:3000"),
            ("http://proxy.example/convergence", "http://proxy.example/convergence"),
            ("", DEFAULT_URL),
        ] {
            assert_eq!(base(text).as_deref(), Ok(expected), "{text}");
        }
        for (text, word) in [
            ("https://example.com", "TLS"),
            ("ftp://example.com", "ftp"),
            ("http://", "empty host"),
            ("localhost:99999", "port"),
            ("http://a@example.com", "user"),
            ("http://example.com/?x=1", "query"),
            ("two words", "invalid"),
        ] {
            let error = base(text).expect_err(text);
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_nearly_a_name_is_taken_for_it_and_what_is_another_word_is_not() {
        let names = ["my-app", "my-app2", "shop", "Blog"];
        let closest = |meant| closest(meant, names.into_iter());
        assert_eq!(closest("my-ap"), Some("my-app"));
        assert_eq!(closest("myapp2"), Some("my-app2"));
        assert_eq!(closest("blgo"), Some("Blog"));
        assert_eq!((closest("zebra"), closest("36"), closest("")), (None, None, None));
    }
}
