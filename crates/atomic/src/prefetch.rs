//! Telling the processor what will be read and written.

/// Starts to bring the cache line at `address` here, and returns at once. A hint: any address will do, nothing is read,
/// and what is fetched is no older or newer than if it had not been asked for. Does nothing where the processor's
/// instruction has no stable name in Rust (all but x86-64), and under loom.
#[inline(always)]
pub fn prefetch<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
    // SAFETY: SSE is part of x86-64; the instruction reads nothing and faults at no address.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
    let _ = address;
}

/// Starts to bring the cache line at `address` here, to be written: taken from whoever has it. Else as [`prefetch`].
#[inline(always)]
pub fn prefetch_to_write<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
    // SAFETY: the instruction reads and writes nothing and faults at no address; processors of 64 bits that do not have it
    // take it for none. (The compiler's own name for it gives `prefetch` where it has not been promised one.)
    unsafe {
        core::arch::asm!(
            "prefetchw [{}]",
            in(reg) address,
            options(nostack, preserves_flags, readonly)
        );
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
    let _ = address;
}
