//! The Rust SDK as a crate that stands alone: what `plugin-api` inherits from its workspace is written out, and its
//! dependencies are those of this server's own lock file.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use toml::{Table, Value};

use crate::embedded;

/// The package of the SDK.
const PACKAGE: &str = "convergence-plugin-api";

/// The files of a Rust project that are not its author's: `sdk/` and `Cargo.lock`.
///
/// # Errors
///
/// What of the embedded files is not as expected.
pub(crate) fn files() -> Result<Vec<(String, Vec<u8>)>, String> {
    let workspace = parse(embedded::text("workspace/Cargo.toml"))?;
    let own = parse(embedded::text("sdk/Cargo.toml"))?;
    let sources =
        embedded::below("sdk/src/").into_iter().map(|(path, contents)| (format!("sdk/src/{path}"), contents.to_vec()));
    let mut files: Vec<_> = sources.collect();
    files.push(("sdk/Cargo.toml".to_owned(), manifest(&own, &workspace)?.into_bytes()));
    files.push(("sdk/LICENSE".to_owned(), embedded::text("workspace/LICENSE").as_bytes().to_vec()));
    files.push(("Cargo.lock".to_owned(), lock(&parse(embedded::text("workspace/Cargo.lock"))?)?.into_bytes()));
    Ok(files)
}

fn parse(text: &str) -> Result<Table, String> {
    text.parse().map_err(|error| format!("an embedded manifest is not TOML: {error}"))
}

/// The SDK's manifest with everything it inherits written out.
fn manifest(own: &Table, workspace: &Table) -> Result<String, String> {
    let of = |table: &Table, path: &[&str]| -> Result<Table, String> {
        let found = path.iter().try_fold(table, |table, key| table.get(*key)?.as_table());
        found.cloned().ok_or_else(|| format!("there is no [{}]", path.join(".")))
    };
    let package = inherited(of(own, &["package"])?, &of(workspace, &["workspace", "package"])?)?;
    let dependencies = inherited(of(own, &["dependencies"])?, &of(workspace, &["workspace", "dependencies"])?)?;
    let mut text = String::from("# The SDK, as this server's release has it. Written by `convergence plugin new`.\n");
    for (name, table) in [("package", package), ("features", of(own, &["features"])?), ("dependencies", dependencies)] {
        writeln!(text, "[{name}]").map_err(|error| error.to_string())?;
        for (key, value) in table {
            writeln!(text, "{key} = {value}").map_err(|error| error.to_string())?;
        }
        text.push('\n');
    }
    Ok(text)
}

/// Every value, or what the workspace has for it where it says `workspace = true`.
fn inherited(table: Table, workspace: &Table) -> Result<Table, String> {
    let one = |(key, value): (String, Value)| {
        let inherits = value.get("workspace").and_then(Value::as_bool) == Some(true);
        let value = if inherits {
            workspace.get(&key).cloned().ok_or_else(|| format!("the workspace has no `{key}`"))?
        } else {
            value
        };
        Ok((key, value))
    };
    table.into_iter().map(one).collect()
}

/// The part of the workspace's lock file that the SDK needs. Cargo adds the project itself to it.
fn lock(workspace: &Table) -> Result<String, String> {
    let packages = workspace.get("package").and_then(Value::as_array).ok_or("the lock file lists no packages")?;
    let text = |package: &Value, key: &str| package.get(key).and_then(Value::as_str).map(str::to_owned);
    // A dependency is `name`, or `name version` where there are several.
    let is = |package: &Value, wanted: &str| {
        let mut words = wanted.split(' ');
        let name = words.next().map(str::to_owned);
        text(package, "name") == name
            && words.next().is_none_or(|version| text(package, "version").as_deref() == Some(version))
    };
    let (mut needed, mut next) = (BTreeSet::new(), vec![PACKAGE.to_owned()]);
    while let Some(wanted) = next.pop() {
        let index = packages.iter().position(|package| is(package, &wanted));
        let index = index.ok_or_else(|| format!("the lock file has no {wanted}"))?;
        if needed.insert(index) {
            let dependencies = packages.get(index).and_then(|package| package.get("dependencies"));
            let dependencies = dependencies.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            next.extend(dependencies.iter().filter_map(Value::as_str).map(str::to_owned));
        }
    }
    let mut kept = Table::new();
    kept.extend(workspace.get("version").map(|version| ("version".to_owned(), version.clone())));
    let needed = needed.into_iter().filter_map(|index| packages.get(index).cloned()).collect();
    kept.insert("package".to_owned(), Value::Array(needed));
    toml::to_string(&kept).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

    use super::*;

    fn file(name: &str) -> String {
        let files = files().unwrap();
        let (_, contents) = files.into_iter().find(|(path, _)| path == name).unwrap();
        String::from_utf8(contents).unwrap()
    }

    #[test]
    fn the_sdk_inherits_nothing_any_more() {
        let manifest: Table = file("sdk/Cargo.toml").parse().unwrap();
        assert!(!file("sdk/Cargo.toml").contains("workspace"), "{manifest}");
        assert_eq!(manifest["package"]["name"].as_str(), Some(PACKAGE));
        assert!(manifest["package"]["edition"].is_str());
        assert!(manifest["dependencies"].as_table().unwrap().contains_key("wit-bindgen"));
        assert_eq!(manifest["features"]["default"][0].as_str(), Some("arena"));
    }

    #[test]
    fn the_lock_file_has_the_sdks_dependencies_and_no_other() {
        let lock: Table = file("Cargo.lock").parse().unwrap();
        let names: Vec<_> = lock["package"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
        for name in [PACKAGE, "serde", "wit-bindgen", "serde_derive"] {
            assert!(names.contains(&name), "{name}");
        }
        assert!(!names.contains(&"wasmtime") && !names.contains(&"tokio"), "{names:?}");
    }
}
