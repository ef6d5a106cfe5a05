//! The barrier: nobody goes on before all have come.

use std::ffi::c_char;

use shmkit::{Barrier, Objects};

use crate::pointers::{borrow, free, hand_out, tell};
use crate::segment::{place, shmkit_segment};
use crate::status::{call, shmkit_status};
use crate::timeout::patience;

/// A barrier between processes, and their threads.
#[derive(Debug)]
pub struct shmkit_barrier {
    barrier: Barrier,
}

/// Finds the barrier `name` in the segment, or makes one for so many parties.
///
/// # Safety
///
/// `segment` is a handle that was not freed, `name` ends with a NUL, `barrier` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_barrier_open(
    segment: *const shmkit_segment,
    name: *const c_char,
    parties: u32,
    barrier: *mut *mut shmkit_barrier,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let (segment, name) = unsafe { place(segment, name) }?;
        let handle = shmkit_barrier { barrier: segment.barrier(name, parties)? };
        // SAFETY: as above.
        unsafe { hand_out(barrier, handle) }?;
        Ok(shmkit_status::Ok)
    })
}

/// Waits until all parties are here: for so many milliseconds, for ever if negative; one whose time is over breaks the barrier. `index`
/// is told which party this is, from 0, and may be null.
///
/// If a peer is killed that has come, all who wait are told `PEER_DIED`, and the barrier is broken: those who come are told
/// `ABORTED` until it is reset.
///
/// # Safety
///
/// `barrier` is a handle that was not freed, `index` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_barrier_wait(
    barrier: *const shmkit_barrier,
    milliseconds: i64,
    index: *mut u32,
) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let barrier = unsafe { borrow(barrier) }?;
        let came = barrier.barrier.wait_deadline(patience(milliseconds))?;
        // SAFETY: as above.
        unsafe { tell(index, came) };
        Ok(shmkit_status::Ok)
    })
}

/// Makes the barrier good again. Those who wait are told `ABORTED`.
///
/// # Safety
///
/// `barrier` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_barrier_reset(barrier: *const shmkit_barrier) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let barrier = unsafe { borrow(barrier) }?;
        barrier.barrier.reset()?;
        Ok(shmkit_status::Ok)
    })
}

/// Breaks the barrier: all who wait and who come are told `ABORTED`.
///
/// # Safety
///
/// `barrier` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_barrier_abort(barrier: *const shmkit_barrier) -> shmkit_status {
    call(|| {
        // SAFETY: the caller's promise.
        let barrier = unsafe { borrow(barrier) }?;
        barrier.barrier.abort()?;
        Ok(shmkit_status::Ok)
    })
}

/// Frees the handle. Null is ignored.
///
/// # Safety
///
/// `barrier` is null, or a handle that was not freed and that nobody uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmkit_barrier_close(barrier: *mut shmkit_barrier) {
    // SAFETY: the caller's promise.
    unsafe { free(barrier) };
}
