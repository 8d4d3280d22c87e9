//! One request on one connection, to where the rules let us go and nowhere else.
//!
//! Written out rather than left to a client library, because who may be dialled is decided here: after names were
//! resolved, and for the very address that is then used, so that a name cannot resolve to one thing for the check and
//! to another for the connection.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::address::is_public;
use super::error::{Refusal, RegistryError};
use super::reference::Reference;
use super::settings::{Registry, RegistrySettings};

const CONNECT: Duration = Duration::from_secs(10);
const FIRST_ANSWER: Duration = Duration::from_secs(60);

/// Who is dialled: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    tls: bool,
    host: String,
    port: u16,
}

/// Where the way of one pull or push may go.
#[derive(Debug)]
pub(super) struct Rules {
    registry: Origin,
    /// Listed by the operator: it may be inside, and lead to where else inside things are kept.
    listed: bool,
    ca_bundle: Option<std::path::PathBuf>,
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
    /// Listed registries that are spoken to without TLS.
    plain: Vec<(String, u16)>,
}

impl Rules {
    pub(super) fn new(reference: &Reference, settings: &RegistrySettings) -> Self {
        let listed = listed(reference, settings);
        let tls = !listed.and_then(|registry| registry.plain_http).unwrap_or_else(|| is_here(reference.host()));
        let port = reference.port().unwrap_or(if tls { 443 } else { 80 });
        let registry = Origin { tls, host: reference.host().to_owned(), port };
        let plain = settings.registries.iter().filter(|(_, registry)| registry.plain_http == Some(true));
        let plain = plain.map(|(name, _)| {
            match name.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?))) {
                Some((host, port)) => (host.to_ascii_lowercase(), port),
                None => (name.to_ascii_lowercase(), 80),
            }
        });
        Self {
            registry,
            listed: listed.is_some(),
            ca_bundle: listed.and_then(|registry| registry.ca_bundle.clone()),
            tls: OnceLock::new(),
            plain: plain.collect(),
        }
    }

    /// The registry itself: scheme, host and port.
    pub(super) fn base(&self) -> String {
        let Origin { tls, host, port } = &self.registry;
        format!("{}://{host}:{port}", if *tls { "https" } else { "http" })
    }

    /// Whether a URL is one of the registry itself.
    pub(super) fn is_registry(&self, url: &Url) -> bool {
        origin(url).is_ok_and(|origin| origin == self.registry)
    }

    /// Whether an origin may be asked at all, its address aside.
    fn check(&self, origin: &Origin) -> Result<(), Refusal> {
        let plain = origin.tls
            || *origin == self.registry
            || self.plain.iter().any(|(host, port)| *host == origin.host && *port == origin.port);
        if plain { Ok(()) } else { Err(Refusal::WithoutTls) }
    }

    /// Whether an address may be dialled for an origin.
    fn admits(&self, origin: &Origin, address: SocketAddr) -> bool {
        let own_machine = *origin == self.registry && is_here(&origin.host) && address.ip().is_loopback();
        self.listed || own_machine || is_public(address.ip())
    }

    async fn dial(&self, origin: &Origin) -> Result<TcpStream, RegistryError> {
        let Origin { host, port, .. } = origin;
        let unreachable = |reason: String| RegistryError::Unreachable { host: format!("{host}:{port}"), reason };
        // Brackets are how addresses are written in URLs, not how they are looked up.
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let resolved = timeout(CONNECT, tokio::net::lookup_host((name, *port))).await;
        let addresses: Vec<SocketAddr> = match resolved {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(error)) => return Err(unreachable(format!("its name cannot be resolved: {error}"))),
            Err(_) => return Err(unreachable("its name was not resolved in time".to_owned())),
        };
        let mut last = "its name has no address".to_owned();
        let mut refused = None;
        for address in addresses {
            if !self.admits(origin, address) {
                refused.get_or_insert(address.ip());
                continue;
            }
            match timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => last = format!("no connection in {} s", CONNECT.as_secs()),
            }
        }
        Err(match refused {
            Some(address) => RegistryError::Refused { host: host.clone(), refusal: Refusal::PrivateAddress(address) },
            None => unreachable(last),
        })
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        self.tls.get_or_init(|| client_config(self.ca_bundle.as_deref())).clone()
    }
}

/// The settings of a registry, if it is listed: by the port that is written or the one that is meant.
pub(super) fn listed<'a>(reference: &Reference, settings: &'a RegistrySettings) -> Option<&'a Registry> {
    let name = reference.registry();
    let same = |listed: &str| {
        let listed = listed.to_ascii_lowercase();
        listed == name
            || (reference.port().is_none() && listed == format!("{name}:443"))
            || (reference.port() == Some(443) && listed == reference.host())
    };
    settings.registries.iter().find(|(listed, _)| same(listed)).map(|(_, registry)| registry)
}

/// Whether a host is, by its own words, this machine.
fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn origin(url: &Url) -> Result<Origin, Refusal> {
    let tls = match url.scheme() {
        "https" => true,
        "http" => false,
        _ => return Err(Refusal::NotWeb),
    };
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => format!("[{address}]"),
        None => return Err(Refusal::NotWeb),
    };
    Ok(Origin { tls, host, port: url.port_or_known_default().ok_or(Refusal::NotWeb)? })
}

/// How a host is called in errors.
pub(super) fn host(url: &Url) -> String {
    url.host_str().unwrap_or("a nameless host").to_owned()
}

/// An answer whose body is still to be read. The connection lives as long as this.
pub(super) struct Answering {
    pub(super) response: Response<Incoming>,
    _connection: JoinSet<()>,
}

/// Sends a request whose URL is `url` and whose other parts are in `request`, and waits for the head of the answer.
pub(super) async fn send(
    rules: &Rules,
    url: &Url,
    mut request: Request<Full<Bytes>>,
) -> Result<Answering, RegistryError> {
    let refused = |refusal| RegistryError::Refused { host: host(url), refusal };
    let unreachable = |reason: String| RegistryError::Unreachable { host: host(url), reason };
    let origin = origin(url).map_err(refused)?;
    rules.check(&origin).map_err(refused)?;
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    *request.uri_mut() = target.parse().map_err(|_| refused(Refusal::NotWeb))?;
    let authority = format!("{}:{}", origin.host, origin.port);
    let shown = if url.port().is_some() { authority } else { origin.host.clone() };
    request.headers_mut().insert(hyper::header::HOST, shown.parse().map_err(|_| refused(Refusal::NotWeb))?);
    let stream = rules.dial(&origin).await?;
    if !origin.tls {
        return exchange(stream, request).await.map_err(unreachable);
    }
    let tls = rules.tls().map_err(unreachable)?;
    let name = origin.host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(name).map_err(|_| refused(Refusal::NotWeb))?;
    let stream = match timeout(CONNECT, TlsConnector::from(tls).connect(name, stream)).await {
        Ok(stream) => stream.map_err(|error| unreachable(tls_reason(&error)))?,
        Err(_) => return Err(unreachable(format!("no TLS in {} s", CONNECT.as_secs()))),
    };
    exchange(stream, request).await.map_err(unreachable)
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answering, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let mut running = JoinSet::new();
    running.spawn(async move {
        // Its errors are also those of the request and of the body.
        connection.await.ok();
    });
    match timeout(FIRST_ANSWER, sender.send_request(request)).await {
        Ok(Ok(response)) => Ok(Answering { response, _connection: running }),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer in {} s", FIRST_ANSWER.as_secs())),
    }
}

fn client_config(ca_bundle: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_bundle {
        let cannot = |error: String| format!("the certificates in {} cannot be read: {error}", path.display());
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| cannot(error.to_string()))? {
            let certificate = certificate.map_err(|error| cannot(error.to_string()))?;
            roots.add(certificate).map_err(|error| cannot(error.to_string()))?;
        }
    }
    if roots.is_empty() {
        return Err(
            "this machine has no certificate authorities: install `ca-certificates`, or set `ca-bundle` for it"
                .to_owned(),
        );
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// What people can do about it, where it is the usual thing.
fn tls_reason(error: &io::Error) -> String {
    let text = error.to_string();
    if text.contains("UnknownIssuer") {
        format!("{text}: who certifies it is unknown here; name the authority's file as `ca-bundle` in [registries]")
    } else if text.contains("InvalidContentType") {
        format!("{text}: it does not speak TLS; if it is yours list it with `plain-http = true` in [registries]")
    } else {
        text
    }
}
