//! What is being compiled at this moment: a start with large components takes a while, and an operator wants to know why.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The components that are being compiled, by file or id. Clones share one list.
#[derive(Debug, Clone, Default)]
pub struct Loading(Arc<Mutex<BTreeMap<String, usize>>>);

impl Loading {
    /// The components that are being compiled or wait for it.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.list().keys().cloned().collect()
    }

    /// Lists a component for as long as the guard lives.
    pub(crate) fn begin(&self, name: impl Into<String>) -> Listed {
        let name = name.into();
        *self.list().entry(name.clone()).or_default() += 1;
        Listed { name, loading: self.clone() }
    }

    fn list(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes its component off the list when it is dropped.
#[derive(Debug)]
pub(crate) struct Listed {
    name: String,
    loading: Loading,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut list = self.loading.list();
        if let Some(count) = list.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                list.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_listed_until_the_last_of_its_guards_is_dropped() {
        let loading = Loading::default();
        let (one, two, other) = (loading.begin("a"), loading.begin("a"), loading.begin("b"));
        drop(one);
        assert_eq!(loading.names(), ["a", "b"]);
        drop((two, other));
        assert!(loading.names().is_empty());
    }
}
