//! What a component may import of WASI, by name.

/// Packages that are linked, with their interfaces.
const GIVEN: [(&str, &[&str]); 7] = [
    (
        "cli",
        &[
            "environment",
            "exit",
            "stderr",
            "stdin",
            "stdout",
            "terminal-input",
            "terminal-output",
            "terminal-stderr",
            "terminal-stdin",
            "terminal-stdout",
        ],
    ),
    ("clocks", &["monotonic-clock", "wall-clock"]),
    ("filesystem", &["preopens", "types"]),
    ("http", &["outgoing-handler", "types"]),
    ("io", &["error", "poll", "streams"]),
    ("random", &["insecure", "insecure-seed", "random"]),
    (
        "sockets",
        &["instance-network", "ip-name-lookup", "network", "tcp", "tcp-create-socket", "udp", "udp-create-socket"],
    ),
];

/// Why an import of WASI is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsupported {
    /// Another version than 0.2, or none.
    Version,
    /// An interface that plugins are not given.
    Interface,
}

/// Whether an import such as `wasi:cli/exit@0.2.9` is given. None where it is no import of WASI.
pub(crate) fn check(name: &str) -> Option<Result<(), Unsupported>> {
    let rest = name.strip_prefix("wasi:")?;
    let (path, version) = rest.split_once('@').unwrap_or((rest, ""));
    let (package, interface) = path.split_once('/').unwrap_or((path, ""));
    let is_given = GIVEN.iter().any(|(given, interfaces)| *given == package && interfaces.contains(&interface));
    let is_0_2 = semver::Version::parse(version).is_ok_and(|v| v.pre.is_empty() && (v.major, v.minor) == (0, 2));
    Some(match (is_given, is_0_2) {
        (true, true) => Ok(()),
        (false, true) => Err(Unsupported::Interface),
        (_, false) => Err(Unsupported::Version),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_0_2_are_given_together() {
        for name in ["wasi:cli/exit@0.2.0", "wasi:random/random@0.2.12", "wasi:http/types@0.2.999"] {
            assert_eq!(check(name), Some(Ok(())), "{name}");
        }
        for name in
            ["wasi:cli/exit@0.3.0", "wasi:cli/exit", "wasi:cli/exit@0.2.0-rc-2023-11-10", "wasi:clocks/types@0.3.0"]
        {
            assert_eq!(check(name), Some(Err(Unsupported::Version)), "{name}");
        }
        for name in ["wasi:cli/run@0.2.0", "wasi:nn/tensor@0.2.0", "wasi:keyvalue/store@0.2.0", "wasi:cli@0.2.0"] {
            assert_eq!(check(name), Some(Err(Unsupported::Interface)), "{name}");
        }
        assert_eq!(check("convergence:host/log@0.1.0"), None);
    }
}
