/// Runs `body` with a queue as `spec` says, in a mapping of its own.
fn example(
    spec: impl Into<shmkit_queue::QueueSpec>,
    body: impl FnOnce(shmkit_queue::Queue<u64, &shmkit_roster::Participant<'_>>) -> Result<(), Box<dyn std::error::Error>>,
) {
    use std::ptr::NonNull;

    use shmkit_layout::{Object, Region};
    use shmkit_roster::{Description, Link, Participant, Roster};

    let bytes = shmkit_layout::align_up(Roster::bytes(4), 128).unwrap();
    let file =
        nix::sys::memfd::memfd_create(c"example", nix::sys::memfd::MFdFlags::MFD_CLOEXEC).unwrap();
    nix::unistd::ftruncate(&file, 1 << 16).unwrap();
    let mapping = memmap2::MmapRaw::map_raw(&file).unwrap();
    let base = NonNull::new(mapping.as_mut_ptr()).unwrap();
    // SAFETY: `mapping` outlives the region.
    let region = unsafe { Region::from_raw_parts(base, mapping.len()) };
    // SAFETY: a new memfd is zero, and nobody else has it.
    let roster = unsafe { Roster::init(region.sub(0, bytes).unwrap(), 4) }.unwrap();
    // SAFETY: the roster lies in a mapping of this file.
    let me = unsafe { Participant::join(roster, file, Description::Proc, Link::Nameless) }.unwrap();
    let rest = region.sub(bytes, mapping.len() as u64 - bytes).unwrap();
    // SAFETY: as above; the rest of the region is the queue's alone.
    let queue = unsafe { shmkit_queue::Queue::<u64, _>::init(rest, spec.into(), &me) }.unwrap();
    body(queue).unwrap();
}
