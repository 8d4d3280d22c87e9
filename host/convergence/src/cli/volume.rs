//! `convergence volume list|remove`

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::confirm::{self, Confirmation};
use super::exit::Failure;
use super::output::{Output, table};
use super::spawn::plain;
use super::tenant::{Tenant, encoded};
use super::watch::{Watch, Watching};

/// What to do with the volumes of a tenant.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the volumes of a tenant, with how much is in them.
    List(List),
    /// Remove a volume that a tenant does not use any more. The data in it is lost.
    Remove(Remove),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    tenant: Tenant,
}

#[derive(Debug, Args)]
struct Remove {
    #[command(flatten)]
    tenant: Tenant,
    /// Remove the volume with this name, as it is listed.
    #[arg(value_name = "NAME", value_parser = volume_name)]
    name: String,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    watching: Watching,
}

/// Shows the volumes of a tenant, or removes one.
pub(crate) async fn run(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    match &arguments.command {
        Command::List(List { tenant }) => list(client, tenant, output).await,
        Command::Remove(arguments) => remove(client, arguments, output).await,
    }
}

async fn volumes(client: &Client, tenant: &Tenant) -> Result<Value, Failure> {
    let (_, found) = client.json(client.request(Method::GET, &tenant.path("/volumes"))).await?;
    Ok(found)
}

async fn list(client: &Client, tenant: &Tenant, output: &Output) -> Result<(), Failure> {
    let found = volumes(client, tenant).await?;
    output.result(&found, || {
        let rows: Vec<_> = listed(&found).map(row).collect();
        match rows.as_slice() {
            [] => format!("tenant {} has no volumes", tenant.as_str()),
            rows => table(&["NAME", "SIZE", "PATH", "STATE"], rows),
        }
    });
    Ok(())
}

async fn remove(client: &Client, arguments: &Remove, output: &Output) -> Result<(), Failure> {
    let Remove { tenant, name, confirmation, watching } = arguments;
    if confirmation.is_needed("volume remove")? {
        let found = volumes(client, tenant).await?;
        let is_meant = |volume: &&Value| {
            ["name", "engineName"].iter().any(|key| volume.get(key).and_then(Value::as_str) == Some(name.as_str()))
        };
        let size = listed(&found).find(is_meant).map_or_else(|| "size not known".to_owned(), size_of);
        confirm::ask(&format!("Remove volume `{name}` of tenant {} with the data in it ({size})?", tenant.as_str()))?;
    }
    let watch = Watch::new(client, *output, watching, "removal");
    let request = client.request(Method::DELETE, &tenant.path(&format!("/volumes/{}", encoded(name))));
    watch.unless_interrupted(watch.begin(request, false)).await?;
    output.result(&json!({ "success": true }), || format!("volume {name} of tenant {} is removed", tenant.as_str()));
    Ok(())
}

fn listed(found: &Value) -> impl Iterator<Item = &Value> {
    found.get("volumes").and_then(Value::as_array).into_iter().flatten()
}

fn row(volume: &Value) -> Vec<String> {
    let part = |key: &str| volume.get(key).map_or_else(|| "-".to_owned(), plain);
    let is_used = volume.get("inUse").and_then(Value::as_bool).unwrap_or_default();
    let state = if is_used { "in use" } else { "left by an earlier revision" };
    vec![part("name"), size_of(volume), part("path"), state.to_owned()]
}

fn size_of(volume: &Value) -> String {
    volume.get("sizeBytes").and_then(Value::as_u64).map_or_else(|| "size not known".to_owned(), size)
}

/// Bytes as people read them, for example `1.5 MiB`. Programs get them exact (`--json`).
fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths, rounded half up, without a number that a float cannot hold.
    let mut tenths = (u128::from(bytes) * 10 + 512) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < units.len() {
        tenths = (tenths + 512) / 1024;
        unit += 1;
    }
    let unit = units.get(unit).copied().unwrap_or_default();
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// The server says which volumes there are. Only what would change the path is refused here.
fn volume_name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("give a volume's name".to_owned()),
        "." | ".." => Err("this is not a volume's name".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_told_in_the_largest_unit_of_which_it_has_one() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1 << 20, "1.0 MiB"),
            (5 << 20, "5.0 MiB"),
            ((10 << 30) + (1 << 29), "10.5 GiB"),
            (3 << 40, "3.0 TiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn a_row_says_what_is_not_known() {
        let shown = |volume: Value| row(&volume).join("|");
        assert_eq!(
            shown(
                json!({ "name": "data", "path": "/data", "engineName": "t-1-data", "sizeBytes": 2048, "inUse": true })
            ),
            "data|2.0 KiB|/data|in use"
        );
        assert_eq!(
            shown(json!({ "name": "old", "engineName": "t-1-old", "sizeBytes": null, "inUse": false })),
            "old|size not known|-|left by an earlier revision"
        );
    }

    #[test]
    fn a_name_is_one_segment_of_a_path() {
        assert!(volume_name("").is_err() && volume_name(".").is_err() && volume_name("..").is_err());
        assert_eq!(volume_name("../x").map(|name| encoded(&name)), Ok("..%2Fx".to_owned()));
    }
}
