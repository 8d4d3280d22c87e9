//! Handlers as the document sees them: functions whose arguments are parts and whose answer says what it can be.

use std::future::Future;

use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, PathItem, Paths};
use utoipa::openapi::schema::Schema;

use super::{Answers, Draft, Part};

/// A function that the document can be made from. `Arguments` is the tuple of what it takes.
pub(crate) trait Described<Arguments> {
    /// Adds what each argument and the answer bring.
    fn describe(draft: &mut Draft);
}

macro_rules! described {
    ($($argument:ident),*) => {
        impl<Function, Answer, Answered, $($argument,)*> Described<($($argument,)*)> for Function
        where
            Function: Fn($($argument),*) -> Answer,
            Answer: Future<Output = Answered>,
            Answered: Answers,
            $($argument: Part,)*
        {
            fn describe(draft: &mut Draft) {
                $($argument::describe(draft);)*
                Answered::describe(draft);
            }
        }
    };
}

described!();
described!(A);
described!(A, B);
described!(A, B, C);
described!(A, B, C, D);
described!(A, B, C, D, E);
described!(A, B, C, D, E, F);
described!(A, B, C, D, E, F, G);

/// Completes what the document says of a handler. `_handler` is there for its type.
pub(crate) fn fill<Handler: Described<Arguments>, Arguments>(
    _handler: &Handler,
    name: &str,
    schemas: &mut Vec<(String, RefOr<Schema>)>,
    paths: &mut Paths,
) {
    let name = name.rsplit("::").next().unwrap_or(name).trim();
    for (path, item) in &mut paths.paths {
        for slot in slots(item) {
            let Some(operation) = slot.take_if(|operation| operation.operation_id.as_deref() == Some(name)) else {
                continue;
            };
            let noun = operation.tags.as_ref().and_then(|tags| tags.first()).cloned().unwrap_or_default();
            let mut draft = Draft::of(path, operation, std::mem::take(schemas));
            Handler::describe(&mut draft);
            let (operation, described) = draft.finish(format!("{noun}_{name}"));
            *schemas = described;
            *slot = Some(operation);
        }
    }
}

fn slots(item: &mut PathItem) -> [&mut Option<Operation>; 5] {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch]
}

/// Handlers of one path, documented by their types.
macro_rules! route {
    ($($($segment:ident)::+),+ $(,)?) => {{
        let (mut schemas, mut paths, router) = utoipa_axum::routes!($($($segment)::+),+);
        $($crate::document::fill(&$($segment)::+, stringify!($($segment)::+), &mut schemas, &mut paths);)+
        (schemas, paths, router)
    }};
}

pub(crate) use route;
