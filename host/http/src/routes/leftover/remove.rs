//! `POST /api/v1/leftovers/remove`

use std::collections::BTreeSet;

use axum::extract::State;
use convergence_model::operation::{Leftover, LeftoverKind};
use convergence_model::{Code, Violation};
use convergence_provision::OrderError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::kind_name;
use crate::App;
use crate::document::refusal::Wrong;
use crate::document::{Accepted, Fails, Link, Linked, problems};
use crate::extract::Authenticated;
use crate::input::{Drafted, merged};
use crate::problem::{Problem, operation_url};
use crate::routes::operation::show::OperationView;

problems!(Refused: Wrong, NotRemoved);

/// What to remove at once, at most.
const MOST: usize = 1000;

/// What to remove.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// At least one of those that `GET /api/v1/leftovers` lists.
    #[schema(min_items = 1, max_items = 1000)]
    leftovers: Vec<Named>,
}

/// One leftover.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    /// `Container`, `Network`, `Volume` (with what is in it) or `Image`.
    #[schema(pattern = "^(?:[Cc]ontainer|[Nn]etwork|[Vv]olume|[Ii]mage)$", example = "Volume")]
    kind: String,
    #[schema(min_length = 1, max_length = 512)]
    name: String,
}

/// The removal is accepted: watch the operations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ordered {
    success: bool,
    /// One for each tenant that the things name, and one for images.
    operations: Vec<OperationView>,
}

/// Remove leftovers, whatever holds them.
///
/// Each must still be one: in the engine with this installation's label, and belonging to nothing in its database. A container
/// that runs is ended, and the data in a volume is lost.
#[utoipa::path(post, path = "/api/v1/leftovers/remove", tag = "leftover")]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Authenticated,
    Drafted { body: order, wrong }: Drafted<Order>,
) -> Result<Accepted<Ordered>, Refused> {
    let caller = caller.administrator();
    let asked = order.check(wrong).map_err(Wrong)?;
    let operations =
        app.provisioner.remove_leftovers(caller, &asked).await.map_err(|error| NotRemoved(error, asked))?;
    let location = match operations.as_slice() {
        [one] => operation_url(one.id),
        _ => "/api/v1/operations".to_owned(),
    };
    let operations = operations.into_iter().map(OperationView::from).collect();
    Ok(Accepted { location, body: Ordered { success: true, operations } })
}

impl Order {
    fn check(self, told: Vec<Violation>) -> Result<Vec<Leftover>, Vec<Violation>> {
        let count = self.leftovers.len();
        if !(1..=MOST).contains(&count) {
            let message = format!("{count} things are named; name 1 to {MOST}");
            return Err(merged(vec![Violation::deny("leftovers", "bad-count", message)], told));
        }
        let (mut asked, mut wrong) = (Vec::new(), Vec::new());
        for (index, Named { kind, name }) in self.leftovers.into_iter().enumerate() {
            let kinds = [LeftoverKind::Container, LeftoverKind::Network, LeftoverKind::Volume, LeftoverKind::Image];
            match kinds.into_iter().find(|known| kind_name(*known).eq_ignore_ascii_case(&kind)) {
                Some(kind) => asked.push(Leftover { kind, name }),
                None => wrong.push(Violation::deny(
                    format!("leftovers[{index}].kind"),
                    "unknown",
                    format!("{kind:?} is no kind; use Container, Network, Volume or Image"),
                )),
            }
        }
        let wrong = merged(wrong, told);
        if wrong.is_empty() { Ok(asked) } else { Err(wrong) }
    }
}

impl Linked for Ordered {
    const LINKS: &'static [Link] = &[("operation", "operation_show", "id", "$response.body#/operations/0/id")];
}

/// Nothing is removed, and what had been asked for.
#[derive(Debug)]
pub(crate) struct NotRemoved(OrderError, Vec<Leftover>);

impl Fails for NotRemoved {
    fn codes() -> BTreeSet<Code> {
        let looking = &convergence_runtime::RuntimeError::codes() | &convergence_store::StoreError::codes();
        &looking | &BTreeSet::from([Code::Invalid, Code::TenantBusy, Code::Stopping])
    }
}

impl From<NotRemoved> for Problem {
    fn from(NotRemoved(error, asked): NotRemoved) -> Self {
        explain(error, &asked)
    }
}

fn explain(error: OrderError, asked: &[Leftover]) -> Problem {
    match error {
        OrderError::NoLeftovers(unknown) => {
            let wrong = asked.iter().enumerate().filter(|(_, what)| unknown.contains(what)).map(|(index, what)| {
                let (kind, name) = (kind_name(what.kind), &what.name);
                let message = format!(
                    "{kind} {name:?} is not a leftover: it does not exist, belongs to a tenant, or does not carry this \
                     installation's label; `GET /api/v1/leftovers` lists those there are"
                );
                Violation::deny(format!("leftovers[{index}]"), "not-a-leftover", message)
            });
            Problem::invalid(&wrong.collect::<Vec<_>>())
        }
        OrderError::Busy(_) => Problem::new(
            Code::TenantBusy,
            format!("{error}; wait for the sweep that is under way, then look at the leftovers again"),
        ),
        OrderError::Look(convergence_provision::LookError::Engine(error)) => error.into(),
        OrderError::Look(convergence_provision::LookError::Store(error)) => error.into(),
        OrderError::Stopping => convergence_provision::AcceptError::Stopping.into(),
    }
}
