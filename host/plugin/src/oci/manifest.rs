//! The manifest: what a reference stands for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::trust;

/// The annotation of the manifest that holds the text of the `.sig` file.
pub(super) const SIGNATURE: &str = "dev.convergence.plugin.signature";
pub(super) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
const LAYER_TYPE: &str = "application/wasm";

/// A manifest, as far as it matters here.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    schema_version: u32,
    #[serde(default)]
    media_type: Option<String>,
    pub(super) config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_empty")]
    annotations: BTreeMap<String, String>,
}

/// What a manifest says of a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_empty")]
    annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads a manifest of one component.
    ///
    /// # Errors
    /// It is one of something else; says of what.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Kind {
            media_type: Option<String>,
            manifests: Option<serde::de::IgnoredAny>,
        }
        let kind: Kind = serde_json::from_slice(bytes).map_err(|error| format!("its manifest is not JSON: {error}"))?;
        if kind.manifests.is_some() {
            return Err("it is an index of several images".to_owned());
        }
        if kind.media_type.as_deref().is_some_and(|kind| kind != MANIFEST_TYPE) {
            return Err(format!("its manifest is of the media type `{}`", shown(&kind.media_type.unwrap_or_default())));
        }
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("its manifest cannot be read: {error}"))?;
        if manifest.schema_version != 2 {
            return Err(format!("its manifest has the schema version {}", manifest.schema_version));
        }
        let config = &manifest.config.media_type;
        if config != CONFIG_TYPE {
            return Err(format!("its configuration is of the media type `{}`, not `{CONFIG_TYPE}`", shown(config)));
        }
        manifest.component()?;
        Ok(manifest)
    }

    /// The one layer there is.
    pub(super) fn component(&self) -> Result<&Descriptor, String> {
        let [layer] = self.layers.as_slice() else {
            return Err(format!("it has {} layers, not one", self.layers.len()));
        };
        if layer.media_type != LAYER_TYPE {
            return Err(format!("its layer is of the media type `{}`, not `{LAYER_TYPE}`", shown(&layer.media_type)));
        }
        if trust::digest_bytes(&layer.digest).is_none() {
            return Err(format!("the digest of its layer, `{}`, is not of SHA-256", shown(&layer.digest)));
        }
        Ok(layer)
    }

    /// The text of the `.sig` file, if it is signed.
    pub(super) fn signature(&self) -> Option<&str> {
        self.annotations.get(SIGNATURE).map(String::as_str)
    }
}

/// What a component is published with.
pub(super) struct Contents<'a> {
    pub(super) component: &'a [u8],
    pub(super) file_name: String,
    pub(super) imports: &'a [String],
    pub(super) exports: &'a [String],
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) created: Timestamp,
}

impl Contents<'_> {
    /// Manifest and configuration, as `wkg` makes them.
    pub(super) fn build(self) -> serde_json::Result<(Vec<u8>, Vec<u8>)> {
        let digest = trust::digest(self.component);
        let config = serde_json::to_vec(&serde_json::json!({
            "created": self.created.to_string(),
            "author": null,
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [digest],
            "component": { "exports": self.exports, "imports": self.imports, "target": null },
        }))?;
        let title = ("org.opencontainers.image.title".to_owned(), self.file_name);
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST_TYPE.to_owned()),
            config: Descriptor::of(CONFIG_TYPE, &config),
            layers: vec![Descriptor { annotations: [title].into(), ..Descriptor::of(LAYER_TYPE, self.component) }],
            annotations: self.annotations,
        };
        Ok((serde_json::to_vec(&manifest)?, config))
    }
}

impl Descriptor {
    fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: trust::digest(bytes),
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
        }
    }
}

/// Some registries write `null` where nothing is.
fn null_as_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Untrusted text in a message.
fn shown(text: &str) -> String {
    text.chars().take(100).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn good() -> serde_json::Value {
        let contents = Contents {
            component: b"\0asm",
            file_name: "ruby.wasm".to_owned(),
            imports: &[],
            exports: &[],
            annotations: BTreeMap::new(),
            created: Timestamp::UNIX_EPOCH,
        };
        serde_json::from_slice(&contents.build().unwrap().0).unwrap()
    }

    #[test]
    fn what_is_no_component_is_said() {
        let with = |pointer: &str, value: serde_json::Value| {
            let mut manifest = good();
            *manifest.pointer_mut(pointer).unwrap() = value;
            manifest
        };
        Manifest::parse(good().to_string().as_bytes()).unwrap();
        Manifest::parse(with("/mediaType", json!(null)).to_string().as_bytes()).unwrap();
        for (manifest, word) in [
            (json!("x"), "not JSON"),
            (json!({ "schemaVersion": 2, "manifests": [] }), "index"),
            (with("/mediaType", json!("application/vnd.docker.distribution.manifest.v2+json")), "docker"),
            (with("/schemaVersion", json!(1)), "schema version 1"),
            (with("/config/mediaType", json!("application/vnd.oci.image.config.v1+json")), "configuration"),
            (with("/layers", json!([])), "0 layers"),
            (with("/layers/0/mediaType", json!("application/tar\u{1b}[31m")), "\\u{1b}"),
            (with("/layers/0/digest", json!("md5:00")), "SHA-256"),
            (with("/layers/0/size", json!(-1)), "cannot be read"),
        ] {
            let error = Manifest::parse(manifest.to_string().as_bytes()).unwrap_err();
            assert!(error.contains(word), "{manifest}: {error}");
        }
    }
}
