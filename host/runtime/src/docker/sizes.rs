//! How much is in volumes. Bollard has no type for how an older engine says it.

use std::collections::BTreeMap;
use std::time::Duration;

use convergence_model::workload::label;
use hyper::Method;
use serde::Deserialize;

use super::connect::{Docker, Fault};
use crate::error::RuntimeError;

/// How long the engine may take: it walks the files of every volume, and an older one those of images and containers too.
const LIMIT: Duration = Duration::from_secs(30);
/// How long before it is asked again while it works on the same question of somebody else, which an older engine refuses.
const PAUSE: Duration = Duration::from_millis(250);

/// What uses the disk: `Volumes` up to version 1.51 of the API, `VolumeUsage` since.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DiskUsage {
    volumes: Option<Vec<Measured>>,
    volume_usage: Option<VolumeUsage>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VolumeUsage {
    items: Option<Vec<Measured>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Measured {
    name: String,
    labels: Option<BTreeMap<String, String>>,
    usage_data: Option<UsageData>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UsageData {
    /// Bytes; -1 where the volume's driver does not tell.
    size: i64,
}

impl Docker {
    /// Bytes in each of an installation's volumes.
    pub(super) async fn measure_volumes(&self, instance: &str) -> Result<BTreeMap<String, Option<u64>>, RuntimeError> {
        match tokio::time::timeout(LIMIT, self.disk_usage()).await {
            Ok(Ok(usage)) => Ok(sizes(usage, instance)),
            Ok(Err(fault)) => Err(fault.into_error(self)),
            Err(_) => Err(RuntimeError::Timeout { what: "measure the volumes".to_owned(), after: LIMIT }),
        }
    }

    async fn disk_usage(&self) -> Result<DiskUsage, Fault> {
        loop {
            // An engine that does not know a parameter ignores it: it tells of everything, and always in detail.
            match self.ask(Method::GET, "/system/df?type=volume&verbose=1").await {
                Err(Fault::Refused { message, .. }) if message.contains("already running") => {
                    tokio::time::sleep(PAUSE).await;
                }
                answer => return answer,
            }
        }
    }
}

fn sizes(usage: DiskUsage, instance: &str) -> BTreeMap<String, Option<u64>> {
    let newer = usage.volume_usage.and_then(|usage| usage.items);
    let all = newer.or(usage.volumes).unwrap_or_default().into_iter();
    let is_ours = |volume: &Measured| {
        volume.labels.as_ref().and_then(|labels| labels.get(label::INSTANCE)).is_some_and(|found| found == instance)
    };
    let size = |volume: Measured| (volume.name, volume.usage_data.and_then(|data| u64::try_from(data.size).ok()));
    all.filter(is_ours).map(size).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_of_the_answer_are_understood_and_others_volumes_are_left_out() {
        let volume = |name: &str, instance: &str, usage: serde_json::Value| json!({ "Name": name, "Labels": { (label::INSTANCE): instance }, "UsageData": usage, "Mountpoint": "/x" });
        let volumes = json!([
            volume("one", "here", json!({ "Size": 12, "RefCount": 1 })),
            volume("two", "here", json!({ "Size": -1, "RefCount": -1 })),
            volume("three", "here", json!(null)),
            volume("four", "there", json!({ "Size": 12, "RefCount": 0 })),
            { "Name": "five", "Labels": null },
        ]);
        let expected = [("one", Some(12)), ("three", None), ("two", None)];
        let expected: BTreeMap<_, _> = expected.map(|(name, size)| (name.to_owned(), size)).into();
        let older = json!({ "LayersSize": 1, "Images": [], "Volumes": volumes });
        let newer = json!({ "VolumeUsage": { "TotalCount": 5, "Items": volumes } });
        for answer in [older, newer] {
            assert_eq!(sizes(serde_json::from_value(answer).unwrap(), "here"), expected);
        }
        assert!(sizes(serde_json::from_value(json!({ "Volumes": null })).unwrap(), "here").is_empty());
    }
}
