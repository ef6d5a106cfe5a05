//! Where a thread may run: [sched_getaffinity(2)].
//!
//! [sched_getaffinity(2)]: https://man7.org/linux/man-pages/man2/sched_getaffinity.2.html

/// Returns on how many processors this thread may run, or 0 if the kernel does not say.
///
/// Those of its affinity, of its cpuset and of the machine: a system call, and no allocation.
pub fn processors() -> u32 {
    // As many as a kernel can have been built for.
    let mut mask = [0_u64; 8192 / 64];
    // SAFETY: the kernel writes to `mask` only, at most as many bytes as it is told that there are.
    let written = unsafe {
        libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(&mask), mask.as_mut_ptr())
    };
    match usize::try_from(written) {
        // What it has not written is 0.
        Ok(_) => mask.iter().map(|bits| bits.count_ones()).sum(),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn as_many_as_the_standard_library_counts_or_more() {
        // That one also looks at the limits of control groups.
        let counted = std::thread::available_parallelism().unwrap().get();
        assert!(super::processors() as usize >= counted);
    }
}
