//! The loop among the operations: asked for past the API, which has no route for it, while the server is killed.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use convergence_model::operation::{Lane, OperationState, Subject};
use convergence_model::{OperationId, OrgId, Scope};
use convergence_store::{NewOperation, Store};

use crate::harness::{Server, eventually};

/// Loops at the same time.
const LOOPS: u128 = 6;

/// Loops that were asked for.
pub(crate) struct Rehearsals {
    rounds: u32,
    ids: Vec<OperationId>,
}

impl Rehearsals {
    /// Asks for loops that take about as long as so many kills.
    pub(crate) async fn begin(server: &Server, kills: u64) -> Self {
        let rounds = u32::try_from(kills.clamp(5, 400)).unwrap();
        let store = Store::open(&server.location()).await.unwrap();
        let mut ids = Vec::new();
        for number in 0..LOOPS {
            let new = NewOperation {
                id: OperationId(uuid::Uuid::from_u128(0xc4a0_0000 + number)),
                kind: "rehearsal",
                lane: Lane::Network,
                exclusive: true,
                yields: false,
                input: serde_json::json!({ "rounds": rounds, "stepMillis": 40, "restMillis": 100 }),
                actor: "chaos".to_owned(),
                patience: Duration::from_secs(3600),
                idempotency: None,
                now: jiff::Timestamp::UNIX_EPOCH,
            };
            let subject = Subject::of("rehearsal", number);
            ids.push(store.begin_on(OrgId(1), &subject, &new, "rehearsal.asked").await.unwrap().id);
        }
        store.close().await;
        Self { rounds, ids }
    }

    /// Waits until all of them are over, and holds what they noted against what they say: nothing is lost, and what is to be
    /// done once was done again only where the operation says that nobody knew. Answers how often.
    pub(crate) async fn compare(&self, server: &Server) -> String {
        let store = Store::open(&server.location()).await.unwrap();
        let mut notes = BTreeMap::<String, u32>::new();
        let (mut repeated, mut again) = (0, 0);
        let file = server.data_file("rehearsal.notes");
        for id in &self.ids {
            let over = eventually("a rehearsal is over", Duration::from_secs(300), || async {
                let operation = store.operation(&Scope::platform(), *id).await.unwrap().unwrap();
                if operation.state.is_final() { Ok(operation) } else { Err(format!("{operation:?}")) }
            })
            .await;
            assert_eq!(over.state, OperationState::Succeeded, "{over:?}");
            repeated += over.result.unwrap()["repeated"].as_u64().unwrap();
        }
        for line in fs::read_to_string(&file).unwrap().lines() {
            *notes.entry(line.to_owned()).or_default() += 1;
        }
        for id in &self.ids {
            for step in (0..self.rounds * 3).filter(|step| step % 3 != 2) {
                let name = if step % 3 == 0 { "make" } else { "call" };
                let times = notes.remove(&format!("{id} {name} {step}")).unwrap_or(0);
                assert!(times >= 1, "{id} lost {name} {step}");
                again += u64::from(times - 1) * u64::from(name == "call");
            }
        }
        assert!(notes.is_empty(), "nobody asked for {notes:?}");
        assert!(again <= repeated, "{again} calls were made again, and the operations say {repeated}");
        store.close().await;
        format!(
            "{LOOPS} loops of {} rounds; {again} of their calls were made twice, {repeated} had an outcome that nobody knew",
            self.rounds
        )
    }
}
