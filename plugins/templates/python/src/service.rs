//! How a Python service is run: port, health, memory.

use convergence_plugin_api::template::{Health, Service, Stage};

/// Where the service listens inside its container.
pub(crate) const PORT: u16 = 3000;

/// The interpreter of the virtual environment.
pub(crate) const PYTHON: &str = "/app/.venv/bin/python";

/// Below this memory limit, in MiB, an application with a web framework does not start reliably.
const MIN_MEMORY_MB: u32 = 128;

/// A service of this command with `/tmp` to write to.
pub(crate) fn service<S: AsRef<str>>(command: impl IntoIterator<Item = S>, health: Health) -> Service {
    Service::new(command, PORT, health)
        // glibc would keep an arena of memory for every thread.
        .env("MALLOC_ARENA_MAX", "2")
        // Read by uvicorn and gunicorn: a worker costs as much memory as the application, and replicas scale it.
        .env("WEB_CONCURRENCY", "1")
        .writable("/tmp", 64)
        .min_memory_mb(MIN_MEMORY_MB)
}

/// The last stage, up to where the application is copied.
pub(crate) fn run_stage(image: &str) -> Stage {
    Stage::from_image("run", image)
        .workdir("/app")
        // The root file system is read-only, and a log line is of no use while it is buffered.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1")
        .prepend_path("/app/.venv/bin")
}

/// GET of a path, from the host and by Python itself inside the container.
pub(crate) fn probe_health(path: &str) -> Health {
    let ask = format!(
        "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', {PORT}, timeout=3); \
         c.request('GET', '{path}'); sys.exit(c.getresponse().status != 200)"
    );
    Health::http(path).in_container([PYTHON, "-c", &ask])
}

/// A connection to the port, for applications of which no path is known.
pub(crate) fn tcp_health() -> Health {
    let ask = format!("import socket; socket.create_connection(('127.0.0.1', {PORT}), 3)");
    Health::tcp().in_container([PYTHON, "-c", &ask])
}
