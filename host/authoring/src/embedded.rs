//! What the binary carries for authors: `build.rs` collects it.
//!
//! | prefix | holds |
//! |---|---|
//! | `scaffold/<language>/shared/` | what every project of the language begins with |
//! | `scaffold/<language>/<kind>/` | what a project of that kind begins with besides |
//! | `wit/<package>/` | the contract |
//! | `sdk/` | `plugin-api/` of this repository |
//! | `workspace/` | the manifest and lock file that the SDK inherits from, and the licence |

/// Paths, with `/` between their parts and in byte order, and contents.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Every file below `prefix`, which ends in `/`, by its path from there.
pub(crate) fn below(prefix: &str) -> Vec<(&'static str, &'static [u8])> {
    FILES.iter().filter_map(|(path, contents)| Some((path.strip_prefix(prefix)?, *contents))).collect()
}

/// The text of one file. Empty where there is none, which no caller survives in tests.
pub(crate) fn text(path: &str) -> &'static str {
    let found = FILES.iter().find(|(known, _)| *known == path);
    found.and_then(|(_, contents)| std::str::from_utf8(contents).ok()).unwrap_or_default()
}
