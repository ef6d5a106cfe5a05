//! The life of a named segment.

use std::time::Instant;

use shared_memory::ShmemConf;
use shmkit_benches::{Candidate, Group};
use shmkit_segment::Options;

/// Bytes asked for.
const SIZE: usize = 1 << 16;

pub(crate) fn group() -> Group<'static> {
    let name = format!("versus-{}", std::process::id());
    let os_id = format!("/shmkit-{name}");
    let ours = Candidate::new("shmkit create + drop", move |n| {
        let began = Instant::now();
        for _ in 0..n {
            drop(Options::new(SIZE as u64).create(&name)?);
        }
        Ok(began.elapsed())
    });
    let peer = Candidate::new("shared_memory create + drop", move |n| {
        let began = Instant::now();
        for _ in 0..n {
            let shmem = ShmemConf::new().size(SIZE).os_id(&os_id).create()?;
            // SAFETY: mapped for SIZE bytes. Their create only sizes the file: without a touch it has no memory.
            unsafe { shmem.as_ptr().write_volatile(1) };
            drop(shmem);
        }
        Ok(began.elapsed())
    });
    Group::new("create + unlink", 200, ours).against(peer)
}
