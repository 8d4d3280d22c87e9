//! What values make no sense, beyond numbers out of bounds: each is found at the start, not by the first tenant.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Result, bail};
use convergence_render::images::Reference;
use serde::de::{Deserialize, Deserializer, Error as _};

use super::Config;

/// Seconds in a month: sums with it cannot overflow, and nothing here is waited for that long.
const MONTH: u64 = 30 * 24 * 3600;

/// Ranges that are nobody's on the internet, with the bits of their prefixes.
const PRIVATE: [(Ipv4Addr, u32); 4] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
];

/// Whether all of a network is private: a tenant's network that covers public addresses hides them from the machine.
pub(super) fn is_private(address: Ipv4Addr, bits: u32) -> bool {
    PRIVATE.iter().any(|(private, private_bits)| {
        bits >= *private_bits && (u32::from(address) ^ u32::from(*private)).leading_zeros() >= *private_bits
    })
}

/// An address to listen on; `localhost` is this machine.
///
/// # Errors
/// It is not one.
pub(crate) fn listen(text: &str) -> Result<SocketAddr, String> {
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    numeric.as_deref().unwrap_or(text).parse().map_err(|_| {
        format!("{text:?} is not an address and a port; write for example \"127.0.0.1:3000\" or \"localhost:3000\"")
    })
}

pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    listen(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// # Errors
/// The key, the value, and what to write instead.
pub(super) fn check(config: &Config) -> Result<()> {
    let named = [
        ("data-dir", Some(&config.data_dir)),
        ("plugins-dir", config.plugins_dir.as_ref()),
        ("git-ca-file", config.sources.git_ca_file.as_ref()),
        ("ca-bundle", config.build.ca_bundle.as_ref()),
    ];
    for (key, path) in named {
        if path.is_some_and(|path| path.as_os_str().is_empty()) {
            bail!("`{key} = \"\"` in the configuration names nothing; write a path, or leave the key out");
        }
    }
    if config.database.as_deref() == Some("") {
        bail!(
            "`database = \"\"` in the configuration names nothing; write a path or postgres://…, or leave the key out"
        );
    }
    if let Some(socket) = &config.docker.socket {
        engine(socket)?;
    }
    if let Some(url) = &config.tenants.api_url {
        let known = ["http://", "https://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
        if !known || url.contains(char::is_whitespace) {
            bail!("`api-url = {url:?}` in [tenants] is not a URL; write for example \"http://10.0.0.1:3000/api/v1\"");
        }
    }
    if config.tenants.default_limits.disk_mb == 0 {
        bail!(
            "`disk-mb = 0` of [tenants.default-limits] leaves a tenant no room; write a number of MiB, for example 2048"
        );
    }
    for (key, seconds) in
        [("grace-seconds", config.reconcile.grace_seconds), ("stable-seconds", config.reconcile.stable_seconds)]
    {
        if seconds > MONTH {
            bail!("`{key} = {seconds}` in [reconcile] must be from 0 to {MONTH}");
        }
    }
    config.images.iter().try_for_each(|(image, mapped)| mapping(image, mapped))
}

/// Where an engine can be.
fn engine(socket: &str) -> Result<()> {
    let (scheme, rest) = socket.split_once("://").unwrap_or(("unix", socket));
    if !["unix", "tcp", "http"].contains(&scheme) || rest.is_empty() {
        bail!(
            "`socket = {socket:?}` in [docker] (or DOCKER_HOST) cannot be used: the server must run on the engine's machine; \
             write a path, unix:///run/docker.sock or tcp://127.0.0.1:2375"
        );
    }
    Ok(())
}

/// A line of `[images]`: a reference, or the beginning of one and a star, on both sides.
fn mapping(image: &str, mapped: &str) -> Result<()> {
    // A star stands for anything, so a part of a name stands in for it to see whether the rest can be one.
    let reference = |text: &str, is_prefix: bool| match text.strip_suffix('*') {
        Some("") => Ok(()),
        Some(prefix) if is_prefix => Reference::parse(&format!("{prefix}x")).map(drop),
        _ => Reference::parse(text).map(drop),
    };
    if let Err(why) = reference(image, true) {
        bail!("`{image:?} = {mapped:?}` in [images]: the key is not an image or a prefix that ends in '*': {why}");
    }
    if let Err(why) = reference(mapped, image.ends_with('*')) {
        bail!("`{image:?} = {mapped:?}` in [images]: the value is not an image: {why}");
    }
    Ok(())
}
