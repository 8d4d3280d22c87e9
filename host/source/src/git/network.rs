//! Which addresses a repository may be at. A name that is allowed can be made to lead anywhere by the one who owns it, so what
//! it leads to is looked at, all of it, and git connects to nothing else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::GitError;
use super::address::GitHost;

/// How long one address may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// A network that the operator allows, such as `10.1.0.0/16` or `fd00::/8`. An address alone is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    const fn v4(a: u8, b: u8, c: u8, bits: u32) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), bits }
    }

    const fn v6(first: u16, second: u16, bits: u32) -> Self {
        Self { address: IpAddr::V6(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0)), bits }
    }

    /// Whether the address is in this network. An IPv4 address in an IPv6 one is not looked into.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |differing: u128, of: u32| differing.checked_shr(of - self.bits).unwrap_or(0) == 0;
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                same(u128::from(network.to_bits() ^ address.to_bits()), Ipv4Addr::BITS)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => same(network.to_bits() ^ address.to_bits(), Ipv6Addr::BITS),
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is not a network; write an address and its bits, such as 10.1.0.0/16");
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { Ipv4Addr::BITS } else { Ipv6Addr::BITS };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        if bits > most {
            return Err(wrong());
        }
        Ok(Self { address, bits })
    }
}

/// What of IPv4 is not the public internet, and what it is (the special-purpose registry of IANA).
const SPECIAL_V4: [(Network, &str); 15] = [
    (Network::v4(0, 0, 0, 8), "this host"),
    (Network::v4(10, 0, 0, 8), "a private network"),
    (Network::v4(100, 64, 0, 10), "a carrier's network"),
    (Network::v4(127, 0, 0, 8), "this host"),
    (Network::v4(169, 254, 0, 16), "link-local, where clouds answer with credentials"),
    (Network::v4(172, 16, 0, 12), "a private network"),
    (Network::v4(192, 0, 0, 24), "reserved"),
    (Network::v4(192, 0, 2, 24), "for documentation"),
    (Network::v4(192, 88, 99, 24), "reserved"),
    (Network::v4(192, 168, 0, 16), "a private network"),
    (Network::v4(198, 18, 0, 15), "for benchmarks"),
    (Network::v4(198, 51, 100, 24), "for documentation"),
    (Network::v4(203, 0, 113, 24), "for documentation"),
    (Network::v4(224, 0, 0, 4), "multicast"),
    (Network::v4(240, 0, 0, 4), "reserved"),
];

/// The one part of IPv6 that is given out to the public internet.
const GLOBAL_V6: Network = Network::v6(0x2000, 0, 3);

/// What of [`GLOBAL_V6`] is not the public internet.
const SPECIAL_V6: [(Network, &str); 4] = [
    (Network::v6(0x2001, 0, 23), "reserved, or a tunnel"),
    (Network::v6(0x2001, 0xdb8, 32), "for documentation"),
    (Network::v6(0x2002, 0, 16), "a tunnel to an IPv4 address"),
    (Network::v6(0x3fff, 0, 20), "for documentation"),
];

/// What an address is that is not on the public internet; none for one that is.
fn special(address: IpAddr) -> Option<&'static str> {
    let among = |table: &[(Network, &'static str)]| {
        table.iter().find(|(network, _)| network.contains(address)).map(|(_, what)| *what)
    };
    match address {
        IpAddr::V4(_) => among(&SPECIAL_V4),
        // Private, link-local and multicast ones, this host, and IPv4 addresses in IPv6 ones, mapped or translated.
        IpAddr::V6(_) if !GLOBAL_V6.contains(address) => Some("not a public IPv6 address"),
        IpAddr::V6(_) => among(&SPECIAL_V6),
    }
}

/// The addresses of a host, each of them checked, at least one of which accepts a connection.
pub(super) async fn addresses(host: &GitHost, allowed: &[Network], end: Instant) -> Result<Vec<IpAddr>, GitError> {
    let late = |what: &str| GitError::NoAnswer { host: host.to_string(), cause: what.to_owned() };
    let unresolved = |cause: String| GitError::Unresolved { host: host.name().to_owned(), cause };
    let found = match host.ip() {
        Some(address) => vec![address],
        None => {
            let found = timeout_at(end, lookup_host((host.name(), host.port()))).await;
            let found = found.map_err(|_| unresolved("the name server does not answer".to_owned()))?;
            let mut found: Vec<_> = found.map_err(|error| unresolved(error.to_string()))?.map(|at| at.ip()).collect();
            found.dedup();
            found
        }
    };
    if found.is_empty() {
        return Err(unresolved("it has no address".to_owned()));
    }
    check(host, &found, allowed)?;
    // Git waits minutes for a connection and has no setting for it.
    let mut seen = late("no address accepts a connection");
    for address in &found {
        let until = end.min(Instant::now() + CONNECT);
        seen = match timeout_at(until, TcpStream::connect(SocketAddr::new(*address, host.port()))).await {
            Ok(Ok(_)) => return Ok(found),
            Ok(Err(error)) => late(&format!("{address}: {error}")),
            Err(_) => late(&format!("{address} does not accept a connection in time")),
        };
    }
    Err(seen)
}

/// One address that is not allowed makes all of them so: which one is used is not ours to decide.
fn check(host: &GitHost, found: &[IpAddr], allowed: &[Network]) -> Result<(), GitError> {
    for address in found {
        if let Some(what) = special(*address)
            && !allowed.iter().any(|network| network.contains(*address))
        {
            return Err(GitError::AddressNotAllowed { host: host.to_string(), address: *address, what });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_allowed() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.9.9",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(special(address.parse().unwrap()).is_some(), "{address}");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "140.82.121.3",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450::1",
            "3ffe::1",
        ] {
            assert_eq!(special(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn one_address_that_is_not_allowed_is_enough_to_refuse_all() {
        let host: GitHost = "git.example.com".parse().unwrap();
        let found: Vec<IpAddr> = ["8.8.8.8", "10.1.2.3"].map(|address| address.parse().unwrap()).into();
        let refused = check(&host, &found, &[]).unwrap_err().to_string();
        assert!(refused.contains("10.1.2.3") && refused.contains("git-networks"), "{refused}");
        assert!(check(&host, &found, &["10.1.0.0/16".parse().unwrap()]).is_ok());
        assert!(check(&host, &found, &["10.2.0.0/16".parse().unwrap()]).is_err());
        assert!(check(&host, &["::ffff:10.1.2.3".parse().unwrap()], &["10.1.0.0/16".parse().unwrap()]).is_err());
    }

    #[test]
    fn networks_are_read() {
        let network = |text: &str| text.parse::<Network>();
        assert!(network("0.0.0.0/0").unwrap().contains("255.1.1.1".parse().unwrap()));
        assert!(network("::/0").unwrap().contains("ff::1".parse().unwrap()));
        assert!(network("fd00::/8").unwrap().contains("fdff::1".parse().unwrap()));
        assert!(!network("fd00::/8").unwrap().contains("fe00::1".parse().unwrap()));
        assert!(network("10.0.0.7").unwrap().contains("10.0.0.7".parse().unwrap()));
        assert!(!network("10.0.0.7").unwrap().contains("10.0.0.6".parse().unwrap()));
        assert!(network("10.1.0.0/16").unwrap().contains("10.1.255.255".parse().unwrap()));
        assert!(!network("10.1.0.0/16").unwrap().contains("10.2.0.0".parse().unwrap()));
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/x", "example.com"] {
            assert!(network(bad).unwrap_err().contains("10.1.0.0/16"), "{bad}");
        }
    }
}
