//! How long each step of a spawn of ours took.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sides::Phases;
use crate::sides::server::Server;

impl Server {
    /// Spawns a tenant without waiting, and reads from its operation's history how long each step took: `accept` is
    /// from the request to the first step, `between` is everything from the end of one step to the begin of the next.
    pub(crate) async fn history(&self, name: &str, language: &str) -> (i64, Phases) {
        let body = json!({ "name": name, "language": language }).to_string();
        let asked = Timestamp::now();
        let (status, text) = self.ask("POST", "/api/v1/tenant/spawn", body, true).await;
        assert_eq!(status, 202, "{text}\n{}", self.log());
        let accepted: Value = serde_json::from_str(&text).unwrap();
        let url = accepted["operation"]["url"].as_str().unwrap();
        // The stream ends with the operation.
        let (_, stream) = self.ask("GET", &format!("{url}/events"), String::new(), false).await;

        let mut phases = Phases::new();
        let mut between = Duration::ZERO;
        let (mut last, mut first) = (asked, true);
        for data in stream.lines().filter_map(|line| line.strip_prefix("data:")) {
            let data: Value = serde_json::from_str(data).unwrap();
            let kind = data["event"].as_str().unwrap_or_default();
            let at = data.get("at").or_else(|| data.get("updatedAt")).unwrap_or_else(|| panic!("{data}"));
            let at: Timestamp = at.as_str().unwrap().parse().unwrap();
            let took = Duration::try_from(at.duration_since(last)).unwrap_or_default();
            match kind {
                "started" if first => phases.push(("accept".to_owned(), took)),
                "done" => phases.push((data["step"].as_str().unwrap().to_owned(), took)),
                "line" => continue,
                _ => between += took,
            }
            (last, first) = (at, false);
        }
        phases.push(("between".to_owned(), between));
        (accepted["tenant"]["envId"].as_i64().unwrap(), phases)
    }
}
