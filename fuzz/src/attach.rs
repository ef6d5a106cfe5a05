//! Any bytes as a segment file: joining it is an error, or everything in it can be looked at.

use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::Duration;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{Mode, fchmod};
use shmkit::{
    Array, Atomic, AtomicArray, LockError, Mutex, Objects, Options, Pipe, Segment, Semaphore,
    ShmSafe, Value,
};

use super::input::Input;

/// Bytes of the header.
const HEADER: usize = 128;
/// How long may be waited for a lock that the bytes say is held, in the one of eight inputs that waits at all.
const WAIT: Duration = Duration::from_micros(50);

/// Runs one input.
///
/// # Panics
///
/// If a segment can be joined and not be used, or shmkit panics, which it must not.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mode = input.byte();
    let wait = if mode >> 5 == 7 { WAIT } else { Duration::ZERO };
    let image = match mode % 4 {
        0 => input.rest().to_vec(),
        1 => with_good_header(&mut input),
        _ => with_patches(&mut input),
    };
    let Ok(segment) = Segment::from_owned_fd(file(&image)) else { return };
    look(&segment, wait);
    let again = Segment::from_owned_fd(file(&image)).map(|_| ());
    // A file that can be joined can be joined, whoever has joined another one of the same bytes.
    assert!(again.is_ok(), "{again:?}");
}

/// Makes a nameless file of these bytes, sealed as an anonymous segment is.
fn file(image: &[u8]) -> OwnedFd {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let file = memfd_create(c"shmkit-fuzz", flags).expect("a memfd");
    fchmod(&file, Mode::from_bits_truncate(0o600)).expect("ours");
    let mut file = std::fs::File::from(file);
    std::io::Write::write_all(&mut file, image).expect("memory");
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).expect("not sealed yet");
    file.into()
}

/// A segment with an object of each kind, and with the marks that its participant left.
fn good() -> &'static [u8] {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    GOOD.get_or_init(|| {
        let segment = Options::new(4096).participants(4).objects(8).anonymous().expect("memory");
        segment.value("value", 7_u64).expect("room").set(8).expect("nobody holds it");
        let array = segment.array("array", shmkit::ArraySpec::Copy(vec![1_i32, 2, 3]));
        array.expect("room").set(1, 5).expect("nobody holds it");
        segment.mutex("mutex", 7_u64).expect("room");
        segment.semaphore("semaphore", 3).expect("room");
        let pipe = segment.pipe::<u64>("pipe", 8).expect("room");
        let mut sender = pipe.sender().expect("nobody has it");
        sender.send_all(&[1, 2, 3]).expect("room");
        segment.atomic("atomic", 7_u64).expect("room");
        segment.atomic_array("atomics", [1_u32, 2, 3]).expect("room");
        // SAFETY: it is only read.
        let region = unsafe { segment.region() };
        (0..region.len() as u64)
            .map(|at| {
                let at = shmkit_layout::Offset::new(at).expect("bytes are aligned");
                region.read::<u8>(at).expect("inside")
            })
            .collect()
    })
}

/// The bytes behind a header that fits them, of which some fields are as the input says.
fn with_good_header(input: &mut Input<'_>) -> Vec<u8> {
    let mut image = good()[..HEADER].to_vec();
    let fields = input.byte();
    if fields & 1 != 0 {
        put(&mut image, 40, &input.number().to_le_bytes()); // Offset of the roster.
    }
    if fields & 2 != 0 {
        put(&mut image, 48, &(input.number() as u32).to_le_bytes()); // Its slots.
    }
    if fields & 4 != 0 {
        put(&mut image, 52, &(input.number() as u32).to_le_bytes()); // Entries of the directory.
    }
    if fields & 8 != 0 {
        put(&mut image, 56, &input.number().to_le_bytes()); // Its offset.
    }
    image.extend(input.rest());
    if image.len() < good().len() {
        // What is missing is 0, as in a new file.
        image.resize(good().len(), 0);
    }
    let size = (image.len() as u64).to_le_bytes();
    put(&mut image, 24, &size);
    image
}

/// A good segment, in which a peer has written here and there.
fn with_patches(input: &mut Input<'_>) -> Vec<u8> {
    let mut image = good().to_vec();
    while !input.is_empty() {
        let wide = input.byte();
        let at = usize::from(input.byte()) << 8 | usize::from(input.byte());
        let at = match wide >> 6 {
            0 => at,
            // Mostly where there are numbers, and on a boundary.
            1 => at / 4 * 4,
            2 => at / 8 * 8,
            _ => at / 64 * 64,
        } % image.len();
        match wide & 3 {
            0 => put(&mut image, at, &[input.byte()]),
            1 => put(&mut image, at, &(input.number() as u32).to_le_bytes()),
            2 => put(&mut image, at, &input.number().to_le_bytes()),
            // A participant's id, or one that was not given out.
            _ => {
                let id = u32::from(input.byte() % 4) << 10 | u32::from(input.byte() % 6);
                let marks = u32::from(input.byte() >> 6) << 30;
                put(&mut image, at, &(id | marks).to_le_bytes());
            }
        }
    }
    image
}

/// Writes as much as there is room for.
fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    let len = bytes.len().min(image.len() - at);
    image[at..at + len].copy_from_slice(&bytes[..len]);
}

/// Looks at everything that can be looked at in a segment, and uses what can be used without waiting for long.
fn look(segment: &Segment, wait: Duration) {
    let _ = format!("{segment:?} {:?}", segment.header());
    // SAFETY: only its length is asked for.
    let data = unsafe { segment.data() };
    assert!(data.len() as u64 <= segment.header().size);
    let participant = segment.participant();
    let file = participant.file().expect("open");
    for member in participant.roster().participants(file) {
        let _ = format!("{member:?} {:?}", participant.person(member.id));
    }
    let entries = match segment.objects() {
        Ok(entries) => entries,
        Err(error) => {
            let _ = error.to_string();
            Vec::new()
        }
    };
    let kept = ["value", "array", "mutex", "semaphore", "pipe", "atomic", "atomics", "none"];
    for name in entries.iter().map(|entry| entry.name.as_str()).chain(kept) {
        value::<u64>(segment, name, wait);
        value::<[u8; 24]>(segment, name, wait);
        array(segment, name, wait);
        mutex(segment, name, wait);
        semaphore(segment, name, wait);
        pipe(segment, name, wait);
        if let Ok(atomic) = segment.find::<Atomic<u64>>(name) {
            atomic.fetch_add(1);
        }
        if let Ok(atomics) = segment.find::<AtomicArray<u32>>(name) {
            assert_eq!(atomics.to_vec().len(), atomics.len());
        }
    }
    for entry in entries {
        let _ = entry.to_string();
    }
}

fn value<T: ShmSafe>(segment: &Segment, name: &str, wait: Duration) {
    let Ok(value) = segment.find::<Value<T>>(name) else { return };
    if let Ok(found) = value.get_timeout(wait) {
        let _ = value.set_timeout(found, wait);
    }
    drop(value.try_lock());
}

fn array(segment: &Segment, name: &str, wait: Duration) {
    let Ok(array) = segment.find::<Array<i32>>(name) else { return };
    match array.lock_timeout(wait) {
        Ok(mut guard) => {
            let len = guard.len();
            let _ = guard.set(len, 1);
            let _ = guard.set(len / 2, 1);
        }
        Err(LockError::OwnerDied(mut guard) | LockError::NotRecoverable(mut guard)) => {
            guard.make_consistent();
        }
        Err(_) => {}
    }
    if let Ok(guard) = array.try_lock() {
        assert_eq!(guard.to_vec().len(), guard.len());
    }
}

fn mutex(segment: &Segment, name: &str, wait: Duration) {
    let Ok(mutex) = segment.find::<Mutex<u64>>(name) else { return };
    match mutex.lock_timeout(wait) {
        Ok(mut guard) | Err(LockError::Poisoned(mut guard)) => *guard += 1,
        Err(LockError::OwnerDied(guard) | LockError::NotRecoverable(guard)) => {
            guard.make_consistent();
        }
        Err(_) => {}
    }
    let _ = format!("{:?} {:?} {}", mutex.owner(), mutex.try_lock().is_ok(), mutex.is_poisoned());
}

fn semaphore(segment: &Segment, name: &str, wait: Duration) {
    let Ok(semaphore) = segment.find::<Semaphore>(name) else { return };
    drop(semaphore.acquire_many_timeout(2, wait));
    let _ = semaphore.try_acquire().map(shmkit::Permit::release);
    // Not `Semaphore::release`: it waits for as long as its lock is held, and the bytes may say that we hold it.
    let _ = (semaphore.permits(), semaphore.available(), semaphore.held());
}

fn pipe(segment: &Segment, name: &str, wait: Duration) {
    let Ok(pipe) = segment.find::<Pipe<u64>>(name) else { return };
    assert!(pipe.len() <= pipe.capacity());
    if let Ok(mut receiver) = pipe.receiver() {
        let mut batch = [0; 5];
        let _ = receiver.try_recv_batch(&mut batch);
        let _ = receiver.recv_timeout(wait);
        let _ = receiver.try_peek().map(|items| items.iter().count());
    }
    if let Ok(mut sender) = pipe.sender() {
        let _ = sender.try_send_batch(&[1; 5]);
        let _ = sender.send_timeout(2, wait);
    }
}
