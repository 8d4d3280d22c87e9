//! `convergence leftovers`

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::age::took;
use super::client::Client;
use super::exit::Failure;
use super::output::{Output, table};
use super::spawn::plain;
use super::watch::Watch;

/// The kinds of leftovers, as they are listed.
const KINDS: [&str; 4] = ["Container", "Network", "Volume", "Image"];
/// The kind that holds data.
const VOLUME: &str = "Volume";

/// What to do about leftovers.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Remove these leftovers, running ones too. NAME is a name as listed and stands for everything of that name but volumes;
    /// `container/NAME`, `network/NAME`, `volume/NAME` and `image/NAME` stand for one thing. Data in a volume is lost.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    remove: Vec<String>,
}

/// Lists what is in the engine and belongs to no tenant, or removes what is named.
pub(crate) async fn run(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let (_, listing) = client.json(client.request(Method::GET, "/api/v1/leftovers")).await?;
    let leftovers = listing.get("leftovers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if arguments.remove.is_empty() {
        output.result(&listing, || text(leftovers));
        return Ok(());
    }
    let mut chosen: Vec<Value> = Vec::new();
    for name in &arguments.remove {
        for leftover in chosen_by(name, leftovers)? {
            if !chosen.contains(&leftover) {
                chosen.push(leftover);
            }
        }
    }
    let watch = Watch::brief(client, *output, "sweep");
    let sweep = async {
        let request = client.request(Method::POST, "/api/v1/leftovers/remove");
        let (_, accepted) = client.json(request.json(&json!({ "leftovers": chosen }))).await?;
        for operation in accepted.get("operations").and_then(Value::as_array).into_iter().flatten() {
            let id = operation.get("id").map(plain).unwrap_or_default();
            watch.follow(&format!("/api/v1/operations/{id}")).await?;
        }
        Ok::<Value, Failure>(accepted)
    };
    let accepted = watch.unless_interrupted(sweep).await?;
    // What could not be removed is listed still; why is in the history of its operation, which was shown.
    let (_, listing) = client.json(client.request(Method::GET, "/api/v1/leftovers")).await?;
    let left = listing.get("leftovers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_left =
        |wanted: &&Value| left.iter().any(|one| ["kind", "name"].iter().all(|key| one.get(key) == wanted.get(key)));
    let staying = chosen.iter().filter(is_left).count();
    output.result(&accepted, || format!("removed {} of {} leftovers", chosen.len() - staying, chosen.len()));
    match staying {
        0 => Ok(()),
        _ => Err(Failure::BadNews(format!("{staying} could not be removed; `convergence operation watch` says why"))),
    }
}

/// The things that a name on the command line stands for.
fn chosen_by(name: &str, leftovers: &[Value]) -> Result<Vec<Value>, Failure> {
    let prefixed = name.split_once('/').and_then(|(kind, name)| {
        let known = KINDS.into_iter().find(|known| known.eq_ignore_ascii_case(kind))?;
        Some((known, name))
    });
    let part = |leftover: &Value, key| leftover.get(key).map(plain).unwrap_or_default();
    let is_meant = |leftover: &&Value| match prefixed {
        Some((kind, name)) => part(leftover, "kind") == kind && part(leftover, "name") == name,
        None => part(leftover, "name") == name && part(leftover, "kind") != VOLUME,
    };
    let named = |leftover: &Value| json!({ "kind": part(leftover, "kind"), "name": part(leftover, "name") });
    let chosen: Vec<Value> = leftovers.iter().filter(is_meant).map(named).collect();
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let is_volume = leftovers.iter().any(|leftover| part(leftover, "name") == name);
    Err(Failure::Failed(if is_volume {
        format!("{name:?} is a volume and holds data; write `volume/{name}` to remove it with its data")
    } else {
        format!("there is no leftover {name:?}; `convergence leftovers` lists those there are. Nothing was removed")
    }))
}

fn text(leftovers: &[Value]) -> String {
    if leftovers.is_empty() {
        return "nothing is left in the engine that belongs to no tenant".to_owned();
    }
    let row = |leftover: &Value| {
        let part = |key| leftover.get(key).map(plain).unwrap_or_default();
        let next = match leftover.get("reason").and_then(Value::as_str) {
            Some(reason) => format!("waits for you: {reason}"),
            None => "will be removed".to_owned(),
        };
        let seen = leftover.get("seenSeconds").and_then(Value::as_i64).map(jiff::SignedDuration::from_secs);
        let seen = seen.map_or_else(|| "-".to_owned(), |seen| format!("for {}", took(seen)));
        vec![part("kind"), part("name"), part("envId"), seen, next]
    };
    let rows: Vec<Vec<String>> = leftovers.iter().map(row).collect();
    table(&["KIND", "NAME", "TENANT", "SEEN", "NEXT"], &rows)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn named(kind: &str, name: &str) -> Value {
        json!({ "kind": kind, "name": name })
    }

    #[test]
    fn a_name_stands_for_everything_of_that_name_but_volumes() {
        let all: Vec<Value> =
            KINDS.iter().map(|kind| named(kind, "one")).chain([named("Image", "image/one:2")]).collect();
        let chosen = |name| chosen_by(name, &all).unwrap();
        assert_eq!(chosen("one"), [named("Container", "one"), named("Network", "one"), named("Image", "one")]);
        assert_eq!(chosen("volume/one"), [named(VOLUME, "one")]);
        assert_eq!(chosen("image/image/one:2"), [named("Image", "image/one:2")]);
        let refused = |name, all: &[Value]| match chosen_by(name, all) {
            Err(Failure::Failed(text)) => text,
            other => panic!("{other:?}"),
        };
        assert!(refused("two", &all).contains("no leftover"));
        assert!(refused("one", &[named(VOLUME, "one")]).contains("volume/one"));
    }
}
