//! How the C library gives memory back to the system.

/// Makes the C library return every large block to the system as soon as it is freed. To be called before the first
/// thread is started.
///
/// glibc maps large blocks one by one at first. But each such block that is freed raises the size from which it does so,
/// up to 32 MiB: after the first plugin of some megabytes it takes blocks like that from the heaps of its threads, where
/// they stay. Installing plugins then costs three times the server's memory, for good. A fixed size, the one glibc
/// starts with, prevents that. What it costs is a system call or two for each large block.
pub(crate) fn return_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::return_large_blocks();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    /// Bytes of a block that is mapped by itself: what glibc starts with.
    const LARGE: libc::c_int = 128 << 10;

    #[allow(unsafe_code)]
    pub(super) fn return_large_blocks() {
        // SAFETY: it takes two numbers and no pointers, and no other thread allocates meanwhile. A size it does not accept
        // changes nothing, so its answer is of no interest.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
    }
}
