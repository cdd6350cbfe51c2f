//! What the allocator keeps of memory that nobody uses any more.

/// A block of that size is the system's again as soon as it is freed, and so is
/// the end of a heap. Row groups, pages of columns, merges and pictures are
/// larger; nearly all that is allocated often is smaller.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES: libc::c_int = 1 << 20;

/// Has large blocks given back when they are freed.
///
/// The allocator of glibc takes the largest block that was ever freed, up to
/// 32 MiB, for the size from which it asks the system. After the first row group
/// everything comes out of heaps, one for each thread, which keep what they had
/// at their fullest: a third of what the program has resident, and a figure that
/// differs from run to run. Fixing the size fixes both, and costs no measurable
/// time (`bench`: feed, images, catalogue).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub(crate) fn give_back_large_blocks() {
    for setting in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: `mallopt` takes two numbers, checks them and may be called at
        // any time. A refusal leaves what was, which is slower to give back and
        // nothing else.
        unsafe { libc::mallopt(setting, KEPT_BYTES) };
    }
}

/// Other allocators are left to their own ways.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back_large_blocks() {}
