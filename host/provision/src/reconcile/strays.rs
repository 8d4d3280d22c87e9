//! What belongs to nobody, as the last look at everything saw it.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use convergence_model::operation::Leftover;

use super::Stray;

/// The strays that are listed. Those of a look replace those of the one before.
#[derive(Debug, Default)]
pub(crate) struct Strays(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    strays: Vec<Stray>,
    /// Removed since the look that is under way began, which may have seen it before.
    removed: BTreeSet<Leftover>,
}

impl Strays {
    /// Those that are known of now.
    pub(super) fn list(&self) -> Vec<Stray> {
        self.lock().strays.clone()
    }

    /// A look at everything begins. There is one at a time.
    pub(super) fn begin_look(&self) {
        self.lock().removed.clear();
    }

    /// The look is over and saw these.
    pub(super) fn end_look(&self, mut seen: Vec<Stray>) {
        let mut listed = self.lock();
        seen.retain(|stray| !listed.removed.contains(&stray.what));
        listed.strays = seen;
    }

    /// This is removed, and not listed any more.
    pub(crate) fn forget(&self, what: &Leftover) {
        let mut listed = self.lock();
        listed.strays.retain(|stray| stray.what != *what);
        listed.removed.insert(what.clone());
    }

    fn lock(&self) -> MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use convergence_model::operation::LeftoverKind;

    use super::*;

    fn stray(name: &str) -> Stray {
        let what = Leftover { kind: LeftoverKind::Container, name: name.to_owned() };
        Stray { tenant: None, what, seen_for: Duration::ZERO, held: None }
    }

    #[test]
    fn what_was_removed_while_a_look_was_under_way_is_not_listed_by_it() {
        let strays = Strays::default();
        strays.begin_look();
        strays.end_look(vec![stray("one"), stray("two")]);
        strays.begin_look();
        strays.forget(&stray("one").what);
        assert_eq!(strays.list(), [stray("two")]);
        strays.end_look(vec![stray("one"), stray("two")]);
        assert_eq!(strays.list(), [stray("two")], "the look saw it before it was removed");
        strays.begin_look();
        strays.end_look(vec![stray("one"), stray("two")]);
        assert_eq!(strays.list(), [stray("one"), stray("two")], "it was made again");
    }
}
