//! Where a guest's allocations come from first: memory that is there when the call begins.
//!
//! Memory beyond that is had by `memory.grow`. For the server each one is a change of its address space, and undoing it
//! before the next call is another; both wait for a lock of the kernel's that all guests share, and one that
//! gives back a hundred megabytes holds it for milliseconds. A guest that stays in its arena changes nothing there.
//!
//! A call runs in a fresh instance and its memory is gone when it ends. So little is given back in between: the block that
//! was taken last, as growing and dropping a vector does. A guest that needs more than the arena gets it from the system's
//! allocator, which reuses all that is given back to it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;

/// Several times what the plan of a starter takes. Pages that nobody touches cost nothing.
#[cfg(target_family = "wasm")]
#[global_allocator]
static ARENA: Arena<{ 256 << 10 }> = Arena::new();

/// So many bytes, and the system's allocator behind them.
#[derive(Debug)]
struct Arena<const BYTES: usize> {
    bytes: UnsafeCell<[MaybeUninit<u8>; BYTES]>,
    /// How many were handed out, from the first on.
    used: Cell<usize>,
}

impl<const BYTES: usize> Arena<BYTES> {
    const fn new() -> Self {
        Self { bytes: UnsafeCell::new([const { MaybeUninit::uninit() }; BYTES]), used: Cell::new(0) }
    }

    fn base(&self) -> *mut u8 {
        self.bytes.get().cast()
    }

    /// Takes a block, if there is room for it.
    fn take(&self, layout: Layout) -> Option<*mut u8> {
        let base = self.base();
        let start = (base.addr() + self.used.get()).checked_next_multiple_of(layout.align())? - base.addr();
        let end = start.checked_add(layout.size()).filter(|end| *end <= BYTES)?;
        self.used.set(end);
        Some(base.wrapping_add(start))
    }

    /// Where a block begins, if it is one of the arena's.
    fn start_of(&self, block: *mut u8) -> Option<usize> {
        block.addr().checked_sub(self.base().addr()).filter(|start| *start < BYTES)
    }

    /// Whether a block that begins here was taken last.
    fn is_last(&self, start: usize, layout: Layout) -> bool {
        start + layout.size() == self.used.get()
    }
}

// SAFETY: a block lies within the arena, `take` gives no byte out twice unless it was given back, and aligns it. What
// is not the arena's is the system's, whose contract is this one.
#[allow(unsafe_code)]
unsafe impl<const BYTES: usize> GlobalAlloc for Arena<BYTES> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: handed on as it came.
        self.take(layout).unwrap_or_else(|| unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.start_of(block) {
            Some(start) if self.is_last(start, layout) => self.used.set(start),
            Some(_) => {}
            // SAFETY: it is not the arena's, so it came from there.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(start) = self.start_of(block) else {
            // SAFETY: it is not the arena's, so it came from there.
            return unsafe { System.realloc(block, layout, size) };
        };
        let end = start.checked_add(size).filter(|end| *end <= BYTES);
        if let Some(end) = end.filter(|_| self.is_last(start, layout)) {
            self.used.set(end);
            return block;
        }
        if size <= layout.size() {
            return block;
        }
        // SAFETY: the caller warrants that the new size is not 0 and not too large for this alignment.
        let moved = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !moved.is_null() {
            // SAFETY: the new one holds more, and a block that was just handed out overlaps no other.
            unsafe { moved.copy_from_nonoverlapping(block, layout.size()) };
            // SAFETY: nobody has it any more.
            unsafe { self.dealloc(block, layout) };
        }
        moved
    }
}

// SAFETY: one thread is all there is: this target has no others, and the server refuses components with threads.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code)]
unsafe impl<const BYTES: usize> Sync for Arena<BYTES> {}

#[cfg(test)]
#[allow(unsafe_code)]
mod tests {
    use super::*;

    fn bytes(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("it is a layout")
    }

    #[test]
    fn blocks_are_aligned_and_apart() {
        let arena = Arena::<256>::new();
        let taken: Vec<_> = [(1, 1), (8, 8), (3, 1), (16, 16), (1, 1), (32, 32)]
            .map(|(size, align)| (size, align, arena.take(bytes(size, align)).expect("there is room").addr()))
            .to_vec();
        let mut free_from = arena.base().addr();
        for (size, align, block) in taken {
            assert!(block.is_multiple_of(align) && block >= free_from, "{size} {align} {block}");
            free_from = block + size;
        }
        assert!(free_from <= arena.base().addr() + 256);
    }

    #[test]
    fn what_does_not_fit_comes_from_the_system_and_goes_back_there() {
        let arena = Arena::<64>::new();
        unsafe {
            let inside = arena.alloc(bytes(64, 1));
            let outside = arena.alloc(bytes(64, 1));
            assert_eq!((arena.start_of(inside), arena.start_of(outside)), (Some(0), None));
            outside.write_bytes(7, 64);
            let outside = arena.realloc(outside, bytes(64, 1), 4096);
            assert_eq!(*outside.add(63), 7);
            arena.dealloc(outside, bytes(4096, 1));
            arena.dealloc(inside, bytes(64, 1));
        }
        assert!(arena.take(bytes(usize::MAX >> 1, 1)).is_none());
    }

    #[test]
    fn the_last_block_grows_in_place_and_gives_its_room_back() {
        let arena = Arena::<64>::new();
        unsafe {
            let first = arena.alloc(bytes(8, 1));
            let last = arena.alloc(bytes(8, 1));
            assert_eq!(arena.realloc(last, bytes(8, 1), 32), last);
            arena.dealloc(last, bytes(32, 1));
            assert_eq!(arena.alloc(bytes(8, 1)), last);
            // This one is not the last any more: it moves, with what is in it.
            first.write_bytes(9, 8);
            let moved = arena.realloc(first, bytes(8, 1), 16);
            assert!(moved > last && *moved.add(7) == 9);
            assert_eq!(arena.realloc(last, bytes(8, 1), 4), last);
            // And where the arena has no room it moves out.
            let out = arena.realloc(moved, bytes(16, 1), 1024);
            assert!(arena.start_of(out).is_none() && *out.add(7) == 9);
            assert_eq!(arena.alloc(bytes(8, 1)), moved, "it left its room");
            arena.dealloc(out, bytes(1024, 1));
        }
    }
}
