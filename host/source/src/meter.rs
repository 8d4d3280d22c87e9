//! Reading what an archive unpacks to, no more of it than is expected: what a few bytes unpack to may be without end, and what
//! a reader of archives keeps in memory is as long as a header says.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// How much may still be read.
#[derive(Debug)]
pub(crate) struct Meter {
    /// Until the next entry is met, or the end of this one.
    allowed: Cell<u64>,
    /// In all.
    left: Cell<u64>,
    read: Cell<u64>,
    ended: Cell<bool>,
}

impl Meter {
    /// Allows nothing yet, and in all so much.
    pub(crate) fn new(total: u64) -> Rc<Self> {
        Rc::new(Self { allowed: Cell::new(0), left: Cell::new(total), read: Cell::new(0), ended: Cell::new(false) })
    }

    /// Allows so many bytes from now on.
    pub(crate) fn allow(&self, bytes: u64) {
        self.allowed.set(bytes);
    }

    /// How much was read.
    pub(crate) fn read(&self) -> u64 {
        self.read.get()
    }

    /// Whether nothing more may be read at all.
    pub(crate) fn is_spent(&self) -> bool {
        self.left.get() == 0
    }

    /// Whether the end was met.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get()
    }
}

/// Reads as much as its meter allows.
pub(crate) struct Metered<R> {
    inner: R,
    meter: Rc<Meter>,
}

impl<R> Metered<R> {
    pub(crate) fn new(inner: R, meter: &Rc<Meter>) -> Self {
        Self { inner, meter: Rc::clone(meter) }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let meter = &self.meter;
        if meter.left.get() == 0 {
            return Err(io::Error::other("it unpacks to more than is allowed in all"));
        }
        let most = meter.allowed.get().min(meter.left.get());
        if most == 0 && !buffer.is_empty() {
            return Err(io::Error::other(
                "an entry is longer than it says, its names are, or there is much behind its end",
            ));
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(buffer.get_mut(..most).unwrap_or_default())?;
        if read == 0 && most > 0 {
            meter.ended.set(true);
        }
        meter.allowed.set(meter.allowed.get().saturating_sub(read as u64));
        meter.left.set(meter.left.get().saturating_sub(read as u64));
        meter.read.set(meter.read.get() + read as u64);
        Ok(read)
    }
}
