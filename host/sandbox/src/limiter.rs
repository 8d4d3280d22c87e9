//! The memory of one call: counted over all linear memories together, refused past the limit.

use wasmtime::{ResourceLimiter, Result};

/// Marks the error with which a guest is stopped that wants too much memory.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the memory limit of the call is reached")]
pub(crate) struct MemoryExhausted;

/// Elements of the largest table; a table is how compiled code holds function pointers.
const MAX_TABLE_ELEMENTS: usize = 100_000;
/// Core instances, memories and tables of one component. A Python-built guest has 37 to 40 instances.
pub(crate) const MAX_PARTS: usize = 48;

/// Counts the linear memory of one call.
#[derive(Debug)]
pub(crate) struct MemoryLimiter {
    limit: usize,
    used: usize,
}

impl MemoryLimiter {
    /// Allows `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, used: 0 }
    }

    /// Bytes of all memories. They only grow, so this is also the most there ever were.
    pub(crate) fn used(&self) -> usize {
        self.used
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.limit {
            // A trap rather than -1: a guest that sees -1 panics with a message about its allocator.
            return Err(MemoryExhausted.into());
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        if desired > MAX_TABLE_ELEMENTS {
            return Err(MemoryExhausted.into());
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        MAX_PARTS
    }

    fn tables(&self) -> usize {
        MAX_PARTS
    }

    fn memories(&self) -> usize {
        MAX_PARTS
    }
}
