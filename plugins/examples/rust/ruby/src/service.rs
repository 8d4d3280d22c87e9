//! How a Ruby service is run: port, health, memory.

use convergence_plugin_api::template::{Health, Service, Stage};

/// Where the service listens inside its container.
pub(crate) const PORT: u16 = 3000;

/// Below this memory limit, in MiB, Ruby with a web server and its gems does not start reliably.
const MIN_MEMORY_MB: u32 = 96;

/// A service of this command with `/tmp` to write to.
pub(crate) fn service<S: AsRef<str>>(command: impl IntoIterator<Item = S>, health: Health) -> Service {
    Service::new(command, PORT, health)
        // glibc would keep an arena of memory for every thread.
        .env("MALLOC_ARENA_MAX", "2")
        // Bundler and others want a home to write to, and the user that the service runs as has none.
        .env("HOME", "/tmp")
        .writable("/tmp", 64)
        .min_memory_mb(MIN_MEMORY_MB)
}

/// The last stage, up to where the application is copied.
pub(crate) fn run_stage(image: &str) -> Stage {
    Stage::from_image("run", image).workdir("/app").env("RACK_ENV", "production").env("LANG", "C.UTF-8")
}

/// GET /health, from the host and by Ruby itself inside the container.
pub(crate) fn http_health() -> Health {
    let ask = format!("exit Net::HTTP.get_response('127.0.0.1', '/health', {PORT}).is_a?(Net::HTTPSuccess)");
    Health::http("/health").in_container(["ruby", "-rnet/http", "-e", &ask])
}

/// A connection to the port, for applications of which no path is known.
pub(crate) fn tcp_health() -> Health {
    let ask = format!("Socket.tcp('127.0.0.1', {PORT}, connect_timeout: 3).close");
    Health::tcp().in_container(["ruby", "-rsocket", "-e", &ask])
}
