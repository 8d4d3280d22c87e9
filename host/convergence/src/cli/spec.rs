//! The flags that say what a tenant should be, shared by `plan` and `spawn`.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::{Map, Value, json};

use super::exit::Failure;

/// What the tenant should be.
#[derive(Debug, Args)]
pub(crate) struct SpecArguments {
    /// Name the tenant: letters, digits, spaces, '.', '_' and '-', not digits only. Unique, without regard to case.
    pub(crate) name: String,
    /// Use the template for this language: node, python, go, …
    #[arg(long, short)]
    language: String,
    /// Describe the tenant to other people.
    #[arg(long)]
    description: Option<String>,
    #[command(flatten)]
    wishes: Wishes,
    /// Spawn the tenant in this organization [default: 1].
    #[arg(long, value_name = "ID")]
    pub(crate) org: Option<i64>,
}

/// What may be different from tenant to tenant, and from revision to revision.
#[derive(Debug, Args)]
pub(crate) struct Wishes {
    /// Use this framework of the language [default: the language's first].
    #[arg(long)]
    framework: Option<String>,
    /// Run on this image [default: the template's].
    #[arg(long, value_name = "IMAGE")]
    base_image: Option<String>,
    /// Limit the processor to this many cores, for example 0.5 [default: the server's].
    #[arg(long, value_name = "CORES", value_parser = cores)]
    cpu: Option<f64>,
    /// Limit the memory, in MiB [default: the server's].
    #[arg(long, value_name = "MIB")]
    memory_mb: Option<u32>,
    /// Limit the disk, in MiB [default: the server's].
    #[arg(long, value_name = "MIB")]
    disk_mb: Option<u32>,
    /// Expect the application on this port, whatever PORT is [default: the template's].
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Wait for this path to answer 2xx [default: the template's].
    #[arg(long, value_name = "PATH")]
    health_path: Option<String>,
    /// Set an environment variable; repeat the option for more.
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
}

impl SpecArguments {
    /// The request body.
    ///
    /// # Errors
    /// As [`Wishes::body`].
    pub(crate) fn body(&self) -> Result<Value, Failure> {
        let mut body = self.wishes.body()?;
        body.insert("name".to_owned(), json!(self.name));
        body.insert("language".to_owned(), json!(self.language));
        if let Some(description) = &self.description {
            body.insert("description".to_owned(), json!(description));
        }
        Ok(Value::Object(body))
    }

    /// `?org_id=…`, or nothing.
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        self.org.map(|org| ("org_id", org.to_string())).into_iter().collect()
    }
}

impl Wishes {
    /// The fields of a request body that say so.
    ///
    /// # Errors
    /// A variable is set twice: which of the values is meant cannot be known.
    pub(crate) fn body(&self) -> Result<Map<String, Value>, Failure> {
        let mut names = BTreeSet::new();
        if let Some((name, _)) = self.env.iter().find(|(name, _)| !names.insert(name)) {
            return Err(Failure::Usage(format!("--env sets {name:?} twice; set each variable once")));
        }
        let (mut body, mut limits) = (Map::new(), Map::new());
        let put = |map: &mut Map<String, Value>, key: &str, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(key.to_owned(), value);
            }
        };
        put(&mut body, "framework", self.framework.as_ref().map(|v| json!(v)));
        put(&mut body, "baseImage", self.base_image.as_ref().map(|v| json!(v)));
        put(&mut body, "port", self.port.map(|v| json!(v)));
        put(&mut body, "healthPath", self.health_path.as_ref().map(|v| json!(v)));
        put(&mut limits, "cpu", self.cpu.map(|v| json!(v)));
        put(&mut limits, "memoryMb", self.memory_mb.map(|v| json!(v)));
        put(&mut limits, "diskMb", self.disk_mb.map(|v| json!(v)));
        put(&mut body, "limits", (!limits.is_empty()).then_some(Value::Object(limits)));
        let env: Map<String, Value> = self.env.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        put(&mut body, "env", (!env.is_empty()).then_some(Value::Object(env)));
        Ok(body)
    }
}

/// JSON has no word for what is not a number, and the server no room for it.
pub(crate) fn cores(text: &str) -> Result<f64, String> {
    let cores: Result<f64, _> = text.parse();
    cores.ok().filter(|cores| cores.is_finite()).ok_or_else(|| "write a number of cores, for example 0.5".to_owned())
}

pub(crate) fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} has no '='; write NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_a_number() {
        assert_eq!(cores("0.5"), Ok(0.5));
        assert_eq!(cores("-1"), Ok(-1.0), "the server says what is allowed");
        for wrong in ["nan", "NaN", "inf", "-inf", "1e999", "half", ""] {
            assert!(cores(wrong).is_err(), "{wrong}");
        }
    }
}
