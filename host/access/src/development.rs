//! Development mode: no keys exist yet, so anybody at this machine is the administrator.
//!
//! A browser on this machine runs untrusted scripts, and a name that resolves to 127.0.0.1 is enough to send
//! requests here. So a request counts as local only if its peer, its `Host` and its `Origin` (if any) all are.

use std::net::{IpAddr, SocketAddr};

use convergence_model::OrgId;

use crate::caller::{Caller, Role};

/// The organization that exists from the first start on.
pub const HOME: OrgId = OrgId(1);

/// Why a request is not taken for a local one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotLocal {
    /// The connection came from elsewhere.
    #[error("development mode answers connections from this machine only, and this one came from {0}")]
    Peer(IpAddr),
    /// The `Host` header names something else.
    #[error(
        "development mode answers only when the Host header is localhost, 127.0.0.1 or [::1]; it was {0:?} (protects against DNS rebinding)"
    )]
    Host(String),
    /// A page of another site sent it.
    #[error("development mode refuses requests sent by pages of other sites; the Origin header was {0:?}")]
    Origin(String),
}

/// What a request says about where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Provenance<'a> {
    /// The other end of the connection.
    pub peer: IpAddr,
    /// The `Host` header (or the authority of the request line).
    pub host: Option<&'a str>,
    /// The `Origin` header.
    pub origin: Option<&'a str>,
}

/// The caller of a local request.
///
/// # Errors
/// Which of the three signs of an untrusted caller was seen.
pub fn authenticate(request: Provenance<'_>) -> Result<Caller, NotLocal> {
    if !request.peer.to_canonical().is_loopback() {
        return Err(NotLocal::Peer(request.peer));
    }
    let host = request.host.unwrap_or_default();
    if !is_loopback_authority(host) {
        return Err(NotLocal::Host(host.to_owned()));
    }
    match request.origin {
        // The page must have come from this very server: another local port is another program's page.
        Some(origin) if origin.strip_prefix("http://") != Some(host) => Err(NotLocal::Origin(origin.to_owned())),
        _ => Ok(Caller::new(Role::PlatformAdmin, HOME, "development")),
    }
}

/// Whether the server may listen there while no keys exist.
pub fn may_bind(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn is_loopback_authority(authority: &str) -> bool {
    if let Ok(address) = authority.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    if let Some(bracketed) = authority.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return bracketed.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    }
    let (name, port) = authority.split_once(':').unwrap_or((authority, "80"));
    let named = name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    named && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(peer: &str, host: &str, origin: Option<&str>) -> Result<(), &'static str> {
        let peer = peer.parse().map_err(|_| "peer")?;
        match authenticate(Provenance { peer, host: Some(host), origin }) {
            Ok(_) => Ok(()),
            Err(NotLocal::Peer(_)) => Err("peer"),
            Err(NotLocal::Host(_)) => Err("host"),
            Err(NotLocal::Origin(_)) => Err("origin"),
        }
    }

    #[test]
    fn only_requests_that_are_local_in_every_way_are_answered() {
        for host in ["127.0.0.1:3000", "localhost:3000", "LOCALHOST", "[::1]:3000", "[::1]"] {
            assert_eq!(ask("127.0.0.1", host, None), Ok(()), "{host}");
        }
        assert_eq!(ask("::ffff:127.0.0.1", "localhost:3000", Some("http://localhost:3000")), Ok(()));

        assert_eq!(ask("10.0.0.7", "localhost:3000", None), Err("peer"));
        for host in ["evil.example", "localhost.evil.example:3000", "127.0.0.1.evil.example", "", "localhost:x"] {
            assert_eq!(ask("127.0.0.1", host, None), Err("host"), "{host}");
        }
        for origin in ["https://evil.example", "null", "http://localhost:3001", "https://localhost:3000"] {
            assert_eq!(ask("127.0.0.1", "localhost:3000", Some(origin)), Err("origin"), "{origin}");
        }
    }
}
