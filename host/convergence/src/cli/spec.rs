//! The flags that say what a tenant should be, shared by `plan` and `spawn`.

use clap::Args;
use serde_json::{Map, Value, json};

/// What the tenant should be.
#[derive(Debug, Args)]
pub(crate) struct SpecArguments {
    /// Its name: letters, digits, spaces, '.', '_' and '-', not digits only. Unique, without regard to case.
    pub(crate) name: String,
    /// A language of an installed template: node, python, go, …
    #[arg(long, short)]
    language: String,
    /// A framework of that language; its first one where absent.
    #[arg(long)]
    framework: Option<String>,
    /// For people.
    #[arg(long)]
    description: Option<String>,
    /// Run on this image instead of the template's.
    #[arg(long, value_name = "IMAGE")]
    base_image: Option<String>,
    /// Cores, for example 0.5.
    #[arg(long, value_name = "CORES")]
    cpu: Option<f64>,
    /// MiB of memory.
    #[arg(long, value_name = "MIB")]
    memory_mb: Option<u32>,
    /// MiB on disk.
    #[arg(long, value_name = "MIB")]
    disk_mb: Option<u32>,
    /// A variable of its own; may be repeated.
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// The organization it is for.
    #[arg(long, value_name = "ID")]
    pub(crate) org: Option<i64>,
}

impl SpecArguments {
    /// The request body.
    pub(crate) fn body(&self) -> Value {
        let mut body =
            Map::from_iter([("name".to_owned(), json!(self.name)), ("language".to_owned(), json!(self.language))]);
        let mut limits = Map::new();
        let put = |map: &mut Map<String, Value>, key: &str, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(key.to_owned(), value);
            }
        };
        put(&mut body, "framework", self.framework.as_ref().map(|v| json!(v)));
        put(&mut body, "description", self.description.as_ref().map(|v| json!(v)));
        put(&mut body, "baseImage", self.base_image.as_ref().map(|v| json!(v)));
        put(&mut limits, "cpu", self.cpu.map(|v| json!(v)));
        put(&mut limits, "memoryMb", self.memory_mb.map(|v| json!(v)));
        put(&mut limits, "diskMb", self.disk_mb.map(|v| json!(v)));
        put(&mut body, "limits", (!limits.is_empty()).then_some(Value::Object(limits)));
        let env: Map<String, Value> = self.env.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        put(&mut body, "env", (!env.is_empty()).then_some(Value::Object(env)));
        Value::Object(body)
    }

    /// `?org_id=…`, or nothing.
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        self.org.map(|org| ("org_id", org.to_string())).into_iter().collect()
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} has no '='; write NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}
