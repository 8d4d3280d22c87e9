//! Base images for tenants: those that are here, else pulled, else stand-ins built from Debian packages.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::pull::{self, Pulled};
use crate::stand_in::{self, Recipe};
use crate::workspace::Workspace;
use crate::{command, engine};

/// The images that the first-party templates start from, each with what stands in for it.
const WANTED: &[(&str, Recipe)] = &[
    ("node:22-bookworm-slim", Recipe::Node),
    ("python:3.12-slim-bookworm", Recipe::Python),
    ("golang:1.24-bookworm", Recipe::Go),
    ("debian:bookworm-slim", Recipe::Debian),
];

/// What the person asked of `cargo xtask images`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Forget earlier stand-ins: try the registry again, and build anew what it does not give.
    #[arg(long)]
    refresh: bool,
}

/// An image name of a template, and the local image to use for it.
type Mapping = BTreeMap<String, String>;

/// The chore.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    engine::ensure(workspace)?;
    if options.refresh {
        stand_in::remove_all()?;
    }
    ensure(workspace)?;
    println!("    the mapping is in {}", mapping_file(workspace).display());
    Ok(())
}

/// Makes sure every wanted image exists and writes the mapping for the server; returns that mapping.
pub(crate) fn ensure(workspace: &Workspace) -> Result<Mapping> {
    let mut mapping = Mapping::new();
    let mut missing = Vec::new();
    let mut reachable = true;
    for (image, recipe) in WANTED {
        if exists(image)? {
            println!("    {image}: here");
        } else if stand_in::is_current(image, *recipe)? {
            println!("    {image}: the stand-in built earlier");
            mapping.insert((*image).to_owned(), stand_in::name(image));
        } else if reachable && pulled(image, &mut reachable)? {
            println!("    {image}: pulled");
        } else {
            missing.push((*image, *recipe));
        }
    }
    if !missing.is_empty() {
        stand_in::build(workspace, &missing)?;
        mapping.extend(missing.iter().map(|(image, _)| ((*image).to_owned(), stand_in::name(image))));
    }
    write_mapping(workspace, &mapping)?;
    Ok(mapping)
}

/// Where [`ensure`] leaves the mapping: a TOML file with one table, `[images]`.
pub(crate) fn mapping_file(workspace: &Workspace) -> PathBuf {
    workspace.state().join("images.toml")
}

/// Whether the engine has an image of this name.
pub(crate) fn exists(image: &str) -> Result<bool> {
    let mut question = Command::new("docker");
    question.args(["image", "ls", "--quiet", image]);
    Ok(!command::capture(&mut question)?.trim().is_empty())
}

fn pulled(image: &str, reachable: &mut bool) -> Result<bool> {
    match pull::pull(image)? {
        Pulled::Yes => Ok(true),
        Pulled::Unreachable(reason) => {
            println!("    no registry can be reached from here: {reason}");
            *reachable = false;
            Ok(false)
        }
        Pulled::Refused(reason) => {
            println!("    {image} cannot be pulled: {reason}");
            Ok(false)
        }
    }
}

fn write_mapping(workspace: &Workspace, mapping: &Mapping) -> Result<()> {
    let images = mapping.iter().map(|(from, to)| (from.clone(), toml::Value::String(to.clone()))).collect();
    let table = toml::Table::from_iter([("images".to_owned(), toml::Value::Table(images))]);
    let text = toml::to_string(&table).context("cannot write the image mapping as TOML")?;
    let file = mapping_file(workspace);
    // Tests watch nothing, but an unchanged file keeps its time, which makes a second run plainly idle.
    if fs::read_to_string(&file).is_ok_and(|old| old == text) {
        return Ok(());
    }
    command::write(&file, &text)
}

/// Whether [`ensure`] prepares this image.
pub(crate) fn prepares(image: &str) -> bool {
    WANTED.iter().any(|(wanted, _)| *wanted == image)
}
