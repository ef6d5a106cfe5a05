// Pipes in a mapping that lasts as long as the process.

use std::ptr::NonNull;

use memmap2::{MmapMut, MmapRaw};
use shmkit_layout::{Object, Region};
use shmkit_pipe::{Frames, Pipe};
use shmkit_queue::{MessageQueue, MessageSpec, Queue, QueueSpec};
use shmkit_roster::model::ModelJudge;

/// Who uses them.
pub(crate) type Judge = &'static ModelJudge;

/// Bytes of each object.
const BYTES: usize = 1 << 18;

/// Returns bytes of nobody, and a judge.
fn place() -> (Region<'static>, &'static [ModelJudge]) {
    let map = Box::leak(Box::new(MmapRaw::from(MmapMut::map_anon(BYTES).unwrap())));
    let base = NonNull::new(map.as_mut_ptr()).unwrap();
    // SAFETY: mapped for ever, and nobody else refers to its bytes.
    let region = unsafe { Region::from_raw_parts(base, map.len()) };
    (region, Box::leak(Box::new(ModelJudge::new(2))))
}

/// Makes a pipe of messages of so many bytes.
#[allow(dead_code, reason = "not all who have this file use all of it")]
pub(crate) fn frames(bytes: u64) -> Frames<Judge> {
    let (region, judges) = place();
    // SAFETY: the bytes are zero, and nobody else has seen them yet.
    unsafe { Frames::init(region, bytes, &judges[0]) }.unwrap()
}

/// Makes a pipe of so many values.
#[allow(dead_code, reason = "not all who have this file use all of it")]
pub(crate) fn pipe<T: shmkit_layout::ShmSafe>(capacity: u64) -> Pipe<T, Judge> {
    let (region, judges) = place();
    // SAFETY: as above.
    unsafe { Pipe::init(region, capacity, &judges[0]) }.unwrap()
}

/// Makes a queue of so many items.
#[allow(dead_code, reason = "not all who have this file use all of it")]
pub(crate) fn queue(capacity: u64) -> Queue<u64, Judge> {
    let (region, judges) = place();
    // SAFETY: as above.
    unsafe { Queue::init(region, QueueSpec::new(capacity), &judges[0]) }.unwrap()
}

/// Makes a pipe of messages of so many bytes, for two, and returns who they are.
#[allow(dead_code, reason = "not all who have this file use all of it")]
pub(crate) fn frames_of_two(bytes: u64) -> ([Frames<Judge>; 2], &'static [ModelJudge]) {
    let (region, judges) = place();
    // SAFETY: as above.
    let first = unsafe { Frames::init(region, bytes, &judges[0]) }.unwrap();
    // SAFETY: just made.
    let second = unsafe { Frames::attach(region, bytes / 8, &judges[1]) }.unwrap();
    ([first, second], judges)
}

/// Makes a queue of so many messages, for two.
#[allow(dead_code, reason = "not all who have this file use all of it")]
pub(crate) fn messages(capacity: u64) -> (MessageQueue<Judge>, MessageQueue<Judge>) {
    let (region, judges) = place();
    let spec = MessageSpec::new(capacity, 1 << 17);
    // SAFETY: as above.
    let here = unsafe { MessageQueue::init(region, spec, &judges[0]) }.unwrap();
    // SAFETY: made above.
    (here, unsafe { MessageQueue::attach(region, capacity, &judges[1]) }.unwrap())
}
