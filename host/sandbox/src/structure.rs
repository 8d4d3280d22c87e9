//! A look at a component before anything expensive is done with it: is it one, what kind of plugin is it, and does it
//! import only what that kind is given?

mod census;

use wasmparser::{CanonicalFunction, CanonicalOption, ComponentExternalKind, Encoding, Parser, Payload};

use self::census::Census;
use crate::component::Kind;
use crate::config::Wasi;
use crate::error::LoadError;
use crate::{v0_1, wasi};

const METADATA: &str = "convergence:plugin/metadata";
const GENERATOR: &str = "convergence:template/generator";
const EVALUATOR: &str = "convergence:policy/evaluator";
const RATER: &str = "convergence:billing/rater";
/// What every kind may import. The interfaces of types appear as imports because the exports use them; they hold
/// nothing that could be called.
const GRANTED: [&str; 2] = ["convergence:host/log", "convergence:plugin/plugin-types"];

/// What a plugin is, before it is compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    /// Such as `convergence:host/log@0.1.0`.
    pub(crate) imports: Vec<String>,
    pub(crate) uses_wasi: bool,
}

/// Tells the kind of a plugin, or why it is none.
pub(crate) fn inspect(bytes: &[u8], max_bytes: usize, wasi: Wasi) -> Result<Found, LoadError> {
    if bytes.len() > max_bytes {
        return Err(LoadError::TooLarge { found: bytes.len(), limit: max_bytes });
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(LoadError::NotWasm);
    }
    let names = Interfaces::read(bytes)?;
    let kind = kind(&names.exports)?;
    let uses_wasi = check_imports(kind, &names.imports, wasi)?;
    Ok(Found { kind, imports: names.imports, uses_wasi })
}

/// As [`inspect`], and goes on past the first thing that is wrong as far as it can: for the component's author.
pub(crate) fn problems(bytes: &[u8], max_bytes: usize, wasi: Wasi) -> Vec<LoadError> {
    let Err(first) = inspect(bytes, max_bytes, wasi) else { return Vec::new() };
    let imports = match &first {
        // Imports are looked at when the exports are as they should be.
        LoadError::SeveralKinds | LoadError::UnsupportedVersion { .. } | LoadError::NoMetadata => {
            let kind = claimed_kind(bytes, max_bytes);
            let names = Interfaces::read(bytes).ok();
            kind.zip(names).and_then(|(kind, names)| check_imports(kind, &names.imports, wasi).err())
        }
        _ => None,
    };
    std::iter::once(first).chain(imports).collect()
}

/// What a file is by the names of its exports, however wrong the rest of it is: another version of the contract,
/// another kind besides, imports that are not granted. None where it cannot be read that far. A component that exports the
/// interface of a policy is one here, whatever else it is: an installed policy must not be overlooked.
pub(crate) fn claimed_kind(bytes: &[u8], max_bytes: usize) -> Option<Kind> {
    if bytes.len() > max_bytes {
        return None;
    }
    let names = Interfaces::read(bytes).ok()?;
    let exports = |interface| names.exports.iter().any(|name| split(name).0 == interface);
    if exports(EVALUATOR) {
        Some(Kind::Policy)
    } else if exports(RATER) {
        Some(Kind::Billing)
    } else if exports(GENERATOR) {
        Some(Kind::Template)
    } else {
        None
    }
}

/// What a component imports and exports, where it can be read that far.
pub(crate) fn interfaces(bytes: &[u8], max_bytes: usize) -> Option<Interfaces> {
    if bytes.len() > max_bytes { None } else { Interfaces::read(bytes).ok() }
}

/// What a component imports and exports by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// Such as `convergence:host/log@0.1.0`.
    pub imports: Vec<String>,
    /// Such as `convergence:plugin/metadata@0.1.0`.
    pub exports: Vec<String>,
}

impl Interfaces {
    /// Reads the whole file once, and stops at the first part that is too large.
    fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        let mut names = Self::default();
        let mut census = Census::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(malformed)?;
            census.count(&payload)?;
            match payload {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => return Err(LoadError::CoreModule),
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentCanonicalSection(section) => {
                    for function in section {
                        if is_async(&function.map_err(malformed)?) {
                            return Err(LoadError::Async);
                        }
                    }
                }
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        names.imports.push(import.map_err(malformed)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        let export = export.map_err(malformed)?;
                        if export.kind == ComponentExternalKind::Instance {
                            names.exports.push(export.name.name.to_owned());
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(names)
    }
}

/// Whether a function belongs to the component model with `async`, which is part of WASI 0.3.
fn is_async(function: &CanonicalFunction) -> bool {
    match function {
        CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. } => {
            options.iter().any(|option| matches!(option, CanonicalOption::Async | CanonicalOption::Callback(_)))
        }
        CanonicalFunction::ResourceNew { .. }
        | CanonicalFunction::ResourceDrop { .. }
        | CanonicalFunction::ResourceRep { .. } => false,
        _ => true,
    }
}

fn malformed(error: wasmparser::BinaryReaderError) -> LoadError {
    LoadError::Malformed(error.to_string())
}

fn kind(exports: &[String]) -> Result<Kind, LoadError> {
    let mut found = None;
    for (kind, interface) in [(Kind::Template, GENERATOR), (Kind::Policy, EVALUATOR), (Kind::Billing, RATER)] {
        if exported(exports, interface)? && found.replace(kind).is_some() {
            return Err(LoadError::SeveralKinds);
        }
    }
    let kind = found.ok_or_else(|| LoadError::UnknownKind { exports: exports.to_vec() })?;
    if exported(exports, METADATA)? { Ok(kind) } else { Err(LoadError::NoMetadata) }
}

/// Whether `interface` is exported, in a version that is spoken here.
fn exported(exports: &[String], interface: &str) -> Result<bool, LoadError> {
    let found: Vec<&String> = exports.iter().filter(|name| split(name).0 == interface).collect();
    if let [first, _, ..] = found.as_slice() {
        return Err(LoadError::SeveralVersions { interface: split(first).0.to_owned() });
    }
    match found.first() {
        Some(name) if spoken(name) => Ok(true),
        Some(name) => Err(LoadError::UnsupportedVersion { found: (*name).clone(), supported: v0_1::VERSION }),
        None => Ok(false),
    }
}

/// Whether it imports WASI, or what it imports and is not given.
fn check_imports(kind: Kind, imports: &[String], allowed: Wasi) -> Result<bool, LoadError> {
    let own: &[&str] = match kind {
        Kind::Template => &["convergence:template/template-types"],
        Kind::Policy => &["convergence:policy/policy-types"],
        Kind::Billing => &["convergence:billing/billing-types", "convergence:host/math"],
    };
    let foreign: Vec<String> = imports
        .iter()
        .filter(|name| {
            let interface = split(name).0;
            !(spoken(name) && (own.contains(&interface) || GRANTED.contains(&interface)))
        })
        .cloned()
        .collect();
    let (wasi, mut others): (Vec<_>, Vec<_>) = foreign.into_iter().partition(|name| name.starts_with("wasi:"));
    let uses_wasi = !wasi.is_empty();
    if uses_wasi && others.is_empty() && allowed == Wasi::Refuse {
        return Err(LoadError::WasiRefused { imports: wasi });
    }
    let mut other_versions = Vec::new();
    for name in wasi {
        match wasi::check(&name) {
            Some(Err(wasi::Unsupported::Version)) => other_versions.push(name),
            Some(Err(wasi::Unsupported::Interface)) => others.push(name),
            Some(Ok(())) | None => {}
        }
    }
    if !others.is_empty() {
        Err(LoadError::ImportNotGranted { kind, imports: others })
    } else if !other_versions.is_empty() {
        Err(LoadError::WasiVersion { imports: other_versions })
    } else {
        Ok(uses_wasi)
    }
}

/// `convergence:host/log@0.1.0` → (`convergence:host/log`, `0.1.0`).
fn split(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, ""))
}

/// Whether the version in a name is one of the minor that is spoken here.
fn spoken(name: &str) -> bool {
    semver::Version::parse(split(name).1)
        .is_ok_and(|version| version.pre.is_empty() && version.major == 0 && version.minor == 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn inspect_text(text: &str) -> Result<Kind, LoadError> {
        inspect(&wat::parse_str(text).unwrap(), 1 << 20, Wasi::Deterministic).map(|found| found.kind)
    }

    /// A component whose exports are empty instances: enough to be told apart by name.
    fn exporting(names: &[&str]) -> String {
        let mut text = "(component (instance $i)".to_owned();
        for name in names {
            text.push_str(&format!("(export \"{name}\" (instance $i))"));
        }
        text.push(')');
        text
    }

    #[test]
    fn kinds_are_told_by_their_exports() {
        let template = exporting(&["convergence:plugin/metadata@0.1.0", "convergence:template/generator@0.1.0"]);
        assert_eq!(inspect_text(&template).unwrap(), Kind::Template);
        let policy = exporting(&["convergence:plugin/metadata@0.1.3", "convergence:policy/evaluator@0.1.3"]);
        assert_eq!(inspect_text(&policy).unwrap(), Kind::Policy);
        let billing = exporting(&["convergence:plugin/metadata@0.1.0", "convergence:billing/rater@0.1.0"]);
        assert_eq!(inspect_text(&billing).unwrap(), Kind::Billing);
        let both = exporting(&[
            "convergence:plugin/metadata@0.1.0",
            "convergence:billing/rater@0.1.0",
            "convergence:policy/evaluator@0.1.0",
        ]);
        assert!(matches!(inspect_text(&both), Err(LoadError::SeveralKinds)));
    }

    #[test]
    fn what_is_no_plugin_is_named() {
        assert!(matches!(inspect(b"#!/bin/sh\n", 100, Wasi::Deterministic), Err(LoadError::NotWasm)));
        assert!(matches!(inspect(b"", 100, Wasi::Deterministic), Err(LoadError::NotWasm)));
        assert!(matches!(
            inspect(&[0; 101], 100, Wasi::Deterministic),
            Err(LoadError::TooLarge { found: 101, limit: 100 })
        ));
        assert!(matches!(inspect_text("(module)"), Err(LoadError::CoreModule)));
        assert!(matches!(inspect(b"\0asm\x0d\0\x01\0garbage", 100, Wasi::Deterministic), Err(LoadError::Malformed(_))));
        let error = inspect_text(&exporting(&["example:other/thing@1.0.0"])).unwrap_err();
        assert!(error.to_string().contains("`example:other/thing@1.0.0`"), "{error}");
    }

    #[test]
    fn versions_that_are_not_spoken_are_named() {
        let next = exporting(&["convergence:plugin/metadata@0.2.0", "convergence:template/generator@0.2.0"]);
        let error = inspect_text(&next).unwrap_err();
        assert!(
            matches!(&error, LoadError::UnsupportedVersion { found, .. } if found == "convergence:template/generator@0.2.0"),
            "{error}"
        );
        let mixed = exporting(&["convergence:template/generator@0.1.0"]);
        assert!(matches!(inspect_text(&mixed), Err(LoadError::NoMetadata)));
    }

    #[test]
    fn a_claim_stands_however_wrong_the_rest_is() {
        let claimed = |text: &str| claimed_kind(&wat::parse_str(text).unwrap(), 1 << 20);
        let (evaluator, generator) = ("convergence:policy/evaluator@0.2.0", "convergence:template/generator@0.1.0");
        assert_eq!(claimed(&exporting(&[evaluator])), Some(Kind::Policy));
        assert_eq!(claimed(&exporting(&[generator, evaluator])), Some(Kind::Policy));
        assert_eq!(claimed(&exporting(&[generator])), Some(Kind::Template));
        assert_eq!(claimed(&exporting(&["example:other/thing@1.0.0"])), None);
        assert_eq!(claimed("(module)"), None);
        let policy = wat::parse_str(exporting(&[evaluator])).unwrap();
        assert_eq!(claimed_kind(&policy, policy.len() - 1), None, "too large to be looked at");
        assert_eq!(claimed_kind(&policy[..policy.len() - 1], 1 << 20), None, "cut");
    }

    #[test]
    fn imports_beyond_the_grant_are_named() {
        let importing_as = |import: &str, kind: &str| {
            format!(
                "(component (import \"{import}\" (instance)) (instance $i)
                   (export \"convergence:plugin/metadata@0.1.0\" (instance $i))
                   (export \"convergence:{kind}@0.1.0\" (instance $i)))"
            )
        };
        let importing = |import: &str| importing_as(import, "policy/evaluator");
        assert_eq!(inspect_text(&importing("convergence:host/log@0.1.0")).unwrap(), Kind::Policy);
        assert_eq!(inspect_text(&importing("wasi:cli/environment@0.2.6")).unwrap(), Kind::Policy);
        let refused = inspect(&wat::parse_str(importing("wasi:cli/environment@0.2.6")).unwrap(), 1 << 20, Wasi::Refuse);
        assert!(
            matches!(&refused, Err(LoadError::WasiRefused { imports }) if imports == &["wasi:cli/environment@0.2.6"])
        );
        let next = inspect_text(&importing("wasi:cli/environment@0.3.0")).unwrap_err();
        assert!(matches!(&next, LoadError::WasiVersion { imports } if imports == &["wasi:cli/environment@0.3.0"]));
        let draft = inspect_text(&importing("wasi:keyvalue/store@0.2.0")).unwrap_err();
        assert!(draft.to_string().contains("`wasi:keyvalue/store@0.2.0`"), "{draft}");
        let other = inspect_text(&importing("evil:host/shell@1.0.0")).unwrap_err();
        assert!(other.to_string().contains("`evil:host/shell@1.0.0`"), "{other}");
        // A policy has no business with the types of a template.
        assert!(inspect_text(&importing("convergence:template/template-types@0.1.0")).is_err());
        // Decimals are for those who count money.
        let math = "convergence:host/math@0.1.0";
        assert!(inspect_text(&importing(math)).unwrap_err().to_string().contains("convergence:host/math"));
        assert!(inspect_text(&importing_as(math, "template/generator")).is_err());
        assert_eq!(inspect_text(&importing_as(math, "billing/rater")).unwrap(), Kind::Billing);
    }

    #[test]
    fn an_author_is_told_of_exports_and_imports_at_once() {
        let text = "(component
            (import \"wasi:cli/environment@0.3.0\" (instance $a))
            (export \"convergence:policy/evaluator@0.9.0\" (instance $a)))";
        let found = problems(&wat::parse_str(text).unwrap(), usize::MAX, Wasi::Deterministic);
        assert!(
            matches!(&found[..], [LoadError::UnsupportedVersion { .. }, LoadError::WasiVersion { .. }]),
            "{found:?}"
        );
        assert!(matches!(&problems(b"text", 9, Wasi::Deterministic)[..], [LoadError::NotWasm]));
    }

    #[test]
    fn nested_parts_are_bounded() {
        let modules = format!("(component {})", "(core module)".repeat(49));
        assert!(matches!(inspect_text(&modules), Err(LoadError::TooComplex { what: "core modules", limit: 48, .. })));
    }
}
