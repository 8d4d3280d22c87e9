//! `POST /api/v1/leftovers/remove`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use convergence_model::operation::{Leftover, LeftoverKind};
use convergence_model::{Code, Violation};
use convergence_provision::OrderError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::kind_name;
use crate::App;
use crate::extract::{Authenticated, Body};
use crate::problem::{Problem, ProblemDocument};
use crate::routes::operation::show::OperationView;

/// What to remove at once, at most.
const MOST: usize = 1000;

/// What to remove.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// At least one of those that `GET /api/v1/leftovers` lists.
    leftovers: Vec<Named>,
}

/// One leftover.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    /// `Container`, `Network`, `Volume` (with what is in it) or `Image`.
    kind: String,
    name: String,
}

/// What was begun.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ordered {
    /// One for each tenant that the things name, and one for images.
    operations: Vec<OperationView>,
}

/// Remove leftovers, whatever holds them.
///
/// Each must still be one: in the engine with this installation's label, and belonging to nothing in its database. A container
/// that runs is ended, and the data in a volume is lost.
#[utoipa::path(
    post, path = "/api/v1/leftovers/remove", tag = "leftover", request_body = Order,
    responses(
        (status = 202, body = Ordered, description = "It is accepted; watch the operations."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "A sweep of the same tenant's things is under way."),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "Something named is not a leftover. Nothing is removed."),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The engine or the database does not answer."),
    )
)]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Authenticated,
    Body(order): Body<Order>,
) -> Result<(StatusCode, Json<Ordered>), Problem> {
    let caller = caller.administrator()?;
    let asked = order.check().map_err(|wrong| Problem::invalid(&wrong))?;
    let operations = app.provisioner.remove_leftovers(caller, &asked).await.map_err(|error| explain(error, &asked))?;
    Ok((StatusCode::ACCEPTED, Json(Ordered { operations: operations.into_iter().map(OperationView::from).collect() })))
}

impl Order {
    fn check(self) -> Result<Vec<Leftover>, Vec<Violation>> {
        let count = self.leftovers.len();
        if !(1..=MOST).contains(&count) {
            let message = format!("{count} things are named; name 1 to {MOST}");
            return Err(vec![Violation::deny("leftovers", "bad-count", message)]);
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
        if wrong.is_empty() { Ok(asked) } else { Err(wrong) }
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
        OrderError::Stopping => convergence_provision::SpawnError::Stopping.into(),
    }
}
