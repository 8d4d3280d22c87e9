//! The two stages of every plan, and how the binary is run.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::{Cache, Health, Request, Service, Stage};

/// The image that the starter is built on, and applications that ask for nothing newer.
pub(crate) const DEFAULT_IMAGE: &str = "golang:1.24-bookworm";

/// Minor versions of Go 1 that have a Debian bookworm image, newest first.
pub(crate) const KNOWN: [(u32, &str); 2] = [(25, "1.25"), (24, "1.24")];

/// Where the service listens inside its container.
pub(crate) const PORT: u16 = 3000;

/// The program in the image that runs.
pub(crate) const PROGRAM: &str = "/app/server";

/// Below this memory limit, in MiB, the runtime spends its time collecting garbage.
const MIN_MEMORY_MB: u32 = 32;

/// The certificates of well-known authorities, as the build image has them.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The image that can build a module that asks for this version of Go, and why. Newer Go builds older modules. The
/// `toolchain` line is what the authors use: it is followed where the release is known, and not needed otherwise.
///
/// # Errors
///
/// Unsupported when the `go` line asks for a version that is not known.
pub(crate) fn image(file: &str, go: Option<&str>, toolchain: Option<&str>) -> Result<(String, String), PluginError> {
    let needed = match go {
        None => None,
        Some(go) => match minor(go).and_then(fitting) {
            Some(fitting) => Some(fitting),
            None => {
                return Err(PluginError::unsupported(format!(
                    "{file} asks for Go `{go}`, and this template knows {}; lower the `go` line of {file} to one of these",
                    KNOWN.map(|(_, text)| text).join(" and ")
                )));
            }
        },
    };
    let preferred = toolchain.and_then(|name| minor(name.strip_prefix("go")?)).map(|minor| {
        let newest = KNOWN.into_iter().next();
        fitting(minor).or(newest)
    });
    let (version, why) = match (preferred.flatten(), needed, go) {
        (Some(preferred), needed, _) if needed.is_none_or(|needed| preferred.0 >= needed.0) => {
            (preferred.1, format!("the `toolchain` line of {file} says {}", toolchain.unwrap_or_default()))
        }
        (_, Some(needed), Some(go)) => (needed.1, format!("{file} asks for Go {go} or newer")),
        _ => return Ok((DEFAULT_IMAGE.to_owned(), format!("{file} asks for no version"))),
    };
    Ok((format!("golang:{version}-bookworm"), why))
}

/// The minor number of `1.24`, `1.24.2`, `1.25rc1` or `1`.
fn minor(go: &str) -> Option<u32> {
    let mut parts = go.split(['.', '-']);
    match (parts.next(), parts.next()) {
        (Some("1"), Some(minor)) => minor.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok(),
        (Some("1"), None) => Some(0),
        _ => None,
    }
}

/// The oldest known release that is new enough.
fn fitting(minor: u32) -> Option<(u32, &'static str)> {
    KNOWN.into_iter().rev().find(|(known, _)| *known >= minor)
}

/// The stage that compiles, up to where sources are copied.
pub(crate) fn build_stage(request: &Request, image: &str) -> Stage {
    let stage = Stage::from_image("build", image)
        .workdir("/src")
        .env("CGO_ENABLED", "0")
        // The image's Go is the one that was decided for; it is not to fetch another one.
        .env("GOTOOLCHAIN", "local")
        .env("GOCACHE", "/cache/build")
        .env("GOMODCACHE", "/cache/modules");
    request.build_args.iter().fold(stage, |stage, arg| stage.env(&arg.key, &arg.value))
}

/// Compiles a package of the source to [`PROGRAM`]: static, without paths of the build, and with the time zones
/// that an empty image lacks.
pub(crate) fn compile(stage: Stage, package: &str, vendored: bool) -> Stage {
    let mut argv = vec!["go", "build", "-trimpath", "-buildvcs=false", "-tags=timetzdata", "-ldflags=-s -w"];
    if vendored {
        // Said aloud, because go uses the folder on its own only where go.mod asks for Go 1.14 or newer.
        argv.push("-mod=vendor");
    }
    argv.extend(["-o", PROGRAM, package]);
    stage.run_with_caches(argv, caches())
}

/// The caches of compiler and modules.
pub(crate) fn caches() -> [Cache; 2] {
    [Cache::shared("go-build", "/cache/build"), Cache::shared("go-modules", "/cache/modules")]
}

/// The stage that runs: nothing, or the image asked for, with program and certificates.
pub(crate) fn run_stage(request: &Request) -> Stage {
    let stage = match &request.base_image {
        Some(image) => Stage::from_image("run", image),
        None => Stage::from_scratch("run"),
    };
    stage.workdir("/app").copy_stage("build", [CERTIFICATES], CERTIFICATES).copy_stage("build", [PROGRAM], PROGRAM)
}

/// A service of this command with `/tmp` to write to.
pub(crate) fn service<S: AsRef<str>>(
    request: &Request,
    command: impl IntoIterator<Item = S>,
    health: Health,
) -> Service {
    // A soft limit below the hard one, so that garbage is collected before the kernel kills.
    let limit = request.memory_mb.saturating_sub(request.memory_mb / 10).max(16);
    Service::new(command, PORT, health)
        .env("GOMEMLIMIT", &format!("{limit}MiB"))
        .writable("/tmp", 64)
        .min_memory_mb(MIN_MEMORY_MB)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_image_that_is_new_enough() {
        for (go, tag) in [("1.19", "1.24"), ("1", "1.24"), ("1.24.2", "1.24"), ("1.25rc1", "1.25"), ("1.25", "1.25")] {
            assert_eq!(image("go.mod", Some(go), None).unwrap().0, format!("golang:{tag}-bookworm"), "{go}");
        }
        assert_eq!(image("go.mod", None, None).unwrap().0, DEFAULT_IMAGE);
        for unknown in ["1.99", "2.0", "x"] {
            assert!(image("go.mod", Some(unknown), None).is_err(), "{unknown}");
        }
    }

    #[test]
    fn a_toolchain_is_followed_where_it_is_known() {
        for (go, toolchain, tag) in [
            (Some("1.22"), "go1.25.1", "1.25"),
            (Some("1.25"), "go1.24.1", "1.25"),
            (Some("1.22"), "go1.99.0", "1.25"),
            (Some("1.22"), "default", "1.24"),
            (None, "go1.25.1", "1.25"),
        ] {
            let (found, why) = image("go.mod", go, Some(toolchain)).unwrap();
            assert_eq!(found, format!("golang:{tag}-bookworm"), "{go:?}, {toolchain}: {why}");
        }
    }
}
