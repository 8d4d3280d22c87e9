//! What a path may be. One rule a kind of path; the renderer escapes all the same.

use super::report::{Broken, excerpt};
use super::{PATH_BYTES_MAX, PATH_DEPTH_MAX};

/// Folders of the kernel's, where nothing of a plan's has any business.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];
/// Folders of the system's, over which nothing may be mounted.
const SYSTEM: [&str; 8] = ["/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/boot", "/run/convergence"];
/// Folders that may hold a mount but not be one.
const TOP: [&str; 5] = ["/", "/usr", "/var", "/usr/local", "/root"];

/// A path of a plan's file: relative, components of `[A-Za-z0-9._@+-]`.
pub(super) fn of_plan(path: &str) -> Result<(), Broken> {
    bounded(path)?;
    if path.starts_with('/') {
        return Err(Broken::new("absolute-path", format!("the path {} must be relative", excerpt(path))));
    }
    components(path, path)
}

/// A path inside a container: absolute, otherwise as [`of_plan`]. A final `/` is refused.
pub(super) fn in_container(path: &str) -> Result<(), Broken> {
    bounded(path)?;
    let Some(rest) = path.strip_prefix('/') else {
        return Err(Broken::new("relative-path", format!("the path {} must begin with '/'", excerpt(path))));
    };
    if !rest.is_empty() {
        components(path, rest)?;
    }
    outside(path, &KERNEL)
}

/// A path inside a container that may end in `/`.
pub(super) fn destination(path: &str) -> Result<(), Broken> {
    match path.strip_suffix('/') {
        Some("") | None => in_container(path),
        Some(folder) => {
            bounded(path)?;
            in_container(folder)
        }
    }
}

/// A path in the application's source. Its names are the application's (`[slug].tsx`, `a b.txt`): only what escapes or
/// cannot be written in one line is refused.
pub(super) fn of_source(path: &str) -> Result<(), Broken> {
    bounded(path)?;
    if path.starts_with('/') {
        return Err(Broken::new("absolute-path", format!("the path {} must be relative", excerpt(path))));
    }
    if path == "." {
        return Ok(());
    }
    if let Some(bad) = path.chars().find(|c| c.is_control() || *c == '\\') {
        return Err(Broken::new(
            "bad-character",
            format!("the path {} contains {bad:?}, which cannot be copied; rename the file", excerpt(path)),
        ));
    }
    let body = path.strip_suffix('/').unwrap_or(path);
    if body.split('/').any(|component| matches!(component, "" | "." | "..")) {
        return Err(Broken::new(
            "bad-component",
            format!("the path {} must not have an empty component, '.' or '..'", excerpt(path)),
        ));
    }
    Ok(())
}

/// Where something is mounted: a container path that hides nothing of the system's.
pub(super) fn mount_point(path: &str) -> Result<(), Broken> {
    in_container(path)?;
    if TOP.contains(&path) {
        return Err(Broken::new(
            "system-path",
            format!("nothing may be mounted over {path}; name a folder of the application's"),
        ));
    }
    outside(path, &SYSTEM)
}

/// Whether one of two container paths is the other or lies within it.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    within(a, b) || within(b, a)
}

fn within(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || outer == "/")
}

fn outside(path: &str, folders: &[&str]) -> Result<(), Broken> {
    match folders.iter().find(|folder| within(path, folder)) {
        Some(folder) => Err(Broken::new(
            "system-path",
            format!(
                "the path {} lies in {folder}, which is the system's; name a folder of the application's",
                excerpt(path)
            ),
        )),
        None => Ok(()),
    }
}

fn bounded(path: &str) -> Result<(), Broken> {
    if path.is_empty() {
        return Err(Broken::new("required", "the path is empty"));
    }
    if path.len() > PATH_BYTES_MAX {
        return Err(Broken::new(
            "too-long",
            format!("the path {} has {} bytes; at most {PATH_BYTES_MAX} are allowed", excerpt(path), path.len()),
        ));
    }
    let depth = path.split('/').filter(|component| !component.is_empty()).count();
    if depth > PATH_DEPTH_MAX {
        return Err(Broken::new(
            "too-deep",
            format!("the path {} has {depth} components; at most {PATH_DEPTH_MAX} are allowed", excerpt(path)),
        ));
    }
    Ok(())
}

fn components(path: &str, relative: &str) -> Result<(), Broken> {
    for component in relative.split('/') {
        if matches!(component, "" | "." | "..") {
            return Err(Broken::new(
                "bad-component",
                format!("the path {} must not have an empty component, '.' or '..'", excerpt(path)),
            ));
        }
        if let Some(bad) = component.chars().find(|c| !(c.is_ascii_alphanumeric() || "._@+-".contains(*c))) {
            return Err(Broken::new(
                "bad-character",
                format!("the path {} contains {bad:?}; use letters, digits and any of . _ @ + -", excerpt(path)),
            ));
        }
    }
    Ok(())
}
