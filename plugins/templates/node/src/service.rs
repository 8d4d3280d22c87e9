//! How a Node service is run: port, health, memory.

use convergence_plugin_api::template::{Health, Request, Service};

/// Where the service listens inside its container.
pub(crate) const PORT: u16 = 3000;

/// Below this memory limit, in MiB, Node does not start reliably.
const MIN_MEMORY_MB: u32 = 128;

/// A service of this command with `/tmp` to write to.
pub(crate) fn service<S: AsRef<str>>(
    request: &Request,
    command: impl IntoIterator<Item = S>,
    health: Health,
) -> Service {
    Service::new(command, PORT, health)
        .env("NODE_ENV", "production")
        .env("NODE_OPTIONS", &format!("--max-old-space-size={}", heap_mb(request.memory_mb)))
        .writable("/tmp", 64)
        .min_memory_mb(MIN_MEMORY_MB)
}

/// GET /health, from the host and by Node itself inside the container.
pub(crate) fn http_health() -> Health {
    let ask =
        format!("fetch('http://127.0.0.1:{PORT}/health').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))");
    Health::http("/health").in_container(["node", "-e", &ask])
}

/// A connection to the port, for applications of which no path is known.
pub(crate) fn tcp_health() -> Health {
    let ask = format!(
        "require('net').connect({PORT}, '127.0.0.1').on('connect', () => process.exit(0)).on('error', () => process.exit(1))"
    );
    Health::tcp().in_container(["node", "-e", &ask])
}

/// The heap for a memory limit: what is left after a quarter, and at least 64 MiB, for everything that is not heap,
/// so that Node collects garbage before the kernel kills it.
fn heap_mb(memory_mb: u32) -> u32 {
    memory_mb.saturating_sub(64.max(memory_mb / 4)).max(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_leaves_room_for_the_rest() {
        assert_eq!(heap_mb(8192), 6144);
        assert_eq!(heap_mb(512), 384);
        assert_eq!(heap_mb(128), 64);
        assert_eq!(heap_mb(0), 32);
    }
}
