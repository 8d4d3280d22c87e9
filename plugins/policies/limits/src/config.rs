//! The policy's configuration, and what it makes of a review. `config.schema.json` is its schema.

use convergence_plugin_api::policy::{Review, Violation};
use convergence_plugin_api::{FieldError, PluginError};
use serde::Deserialize;

use crate::bounds::{Bounds, Quantity};

const NAME: Quantity = Quantity { path: "name", code: "name", unit: " characters", write: |value| value.to_string() };
const CPU: Quantity = Quantity { path: "limits.cpu", code: "cpu", unit: " cores", write: cores };
const MEMORY: Quantity =
    Quantity { path: "limits.memoryMb", code: "memory", unit: " MiB of memory", write: |value| value.to_string() };
const DISK: Quantity =
    Quantity { path: "limits.diskMb", code: "disk", unit: " MiB of disk", write: |value| value.to_string() };
const REPLICAS: Quantity =
    Quantity { path: "limits.replicas", code: "replicas", unit: " replicas", write: |value| value.to_string() };

/// What the operator set. Everything that is absent has the default of the schema.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    name: Whole,
    cpu: Cores,
    memory_mb: Whole,
    disk_mb: Whole,
    replicas: Whole,
    languages: Option<Vec<String>>,
}

/// Bounds in whole numbers, as written.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Whole {
    minimum: Option<u32>,
    maximum: Option<u32>,
}

/// Bounds in cores, as written.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Cores {
    minimum: Option<f64>,
    maximum: Option<f64>,
}

impl Whole {
    fn or(self, minimum: u32, maximum: Option<u32>) -> Bounds {
        Bounds { minimum: self.minimum.unwrap_or(minimum), maximum: self.maximum.or(maximum) }
    }
}

impl Config {
    fn all(&self) -> [(&'static str, Quantity, Bounds); 5] {
        let cpu = Whole { minimum: self.cpu.minimum.map(millis), maximum: self.cpu.maximum.map(millis) };
        [
            ("name", NAME, self.name.or(1, Some(100))),
            ("cpu", CPU, cpu.or(1, Some(4000))),
            ("memoryMb", MEMORY, self.memory_mb.or(256, Some(8192))),
            ("diskMb", DISK, self.disk_mb.or(1024, None)),
            ("replicas", REPLICAS, self.replicas.or(1, Some(10))),
        ]
    }

    /// Whether every minimum is at most its maximum, which a schema cannot say.
    ///
    /// # Errors
    ///
    /// Invalid configuration that names each one that is not.
    pub(crate) fn check(&self) -> Result<(), PluginError> {
        let crossed = |(field, quantity, bounds): (&str, Quantity, Bounds)| {
            let maximum = bounds.maximum.filter(|maximum| *maximum < bounds.minimum)?;
            let (minimum, maximum) = ((quantity.write)(bounds.minimum), (quantity.write)(maximum));
            Some(FieldError::new(
                &format!("{field}.minimum"),
                format!("the minimum of {minimum} is above the maximum of {maximum}; nothing would be allowed"),
            ))
        };
        let errors: Vec<FieldError> = self.all().into_iter().filter_map(crossed).collect();
        if errors.is_empty() { Ok(()) } else { Err(PluginError::InvalidConfig(errors)) }
    }

    /// Everything in the request that is out of bounds.
    pub(crate) fn violations(&self, review: &Review) -> Vec<Violation> {
        let length = u32::try_from(review.tenant_name.chars().count()).unwrap_or(u32::MAX);
        let limits = &review.limits;
        let values = [length, limits.cpu_millis, limits.memory_mb, limits.disk_mb, limits.replicas];
        let out_of_bounds = self
            .all()
            .into_iter()
            .zip(values)
            .filter_map(|((_, quantity, bounds), value)| bounds.violation(quantity, value));
        let unprintable = review.tenant_name.chars().any(char::is_control).then(|| {
            Violation::deny(
                "name",
                "name-not-printable",
                "the name contains a control character, such as a line break; use letters, digits and spaces",
            )
        });
        out_of_bounds.chain(unprintable).chain(self.language(review)).collect()
    }

    fn language(&self, review: &Review) -> Option<Violation> {
        let allowed = self.languages.as_ref().filter(|allowed| !allowed.contains(&review.language))?;
        Some(Violation::deny(
            "language",
            "language-not-allowed",
            format!("`{}` is not allowed here; use one of: {}", review.language, allowed.join(", ")),
        ))
    }
}

/// Thousandths of a core. The schema allows at most 1024 cores, so the conversion is exact to a thousandth.
fn millis(cores: f64) -> u32 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let millis = (cores * 1000.0).round() as u32;
    millis
}

/// Thousandths of a core as cores: 1500 is `1.5`.
fn cores(millis: u32) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_written_as_people_write_them() {
        assert_eq!([cores(0), cores(1), cores(500), cores(4000), cores(4001)], ["0", "0.001", "0.5", "4", "4.001"]);
        assert_eq!([millis(0.5), millis(4.0), millis(0.001), millis(0.1 + 0.2)], [500, 4000, 1, 300]);
    }
}
