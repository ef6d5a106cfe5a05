//! Places that have given out all their names begin anew, and no word of any object names anybody by then.

use std::fs::File;
use std::mem::forget;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use memmap2::MmapRaw;
use nix::sys::memfd::{MFdFlags, memfd_create};
use shmkit::layout::{Object, Region};
use shmkit::roster::{Description, Judge, Link, OwnerId, Participant, Roster, Spent, Verdict};
use shmkit::segment::Directory;
use shmkit::{
    Array, ArraySpec, Atomic, AtomicArray, Barrier, Condvar, Count, CountingSemaphore, ErrorKind,
    Event, Heap, Lock, LockError, MapSpec, MessageQueue, MessageSpec, Mutex, Objects, Once,
    OnceCell, Options, Pipe, Queue, RLock, ReentrantMutex, RwLock, Seated, Segment, Semaphore,
    ShmDeque, ShmMap, ShmString, ShmVec, Value,
};

/// Places, and names: one each. No other number in the memory is 7.
const PLACES: u32 = 7;
const ENTRIES: u32 = 32;
const DIRECTORY: u64 = 4096;
const SIZE: u64 = 1 << 20;
/// For everything that has seats: as many as there are places would be a 7.
const SEATS: u32 = 40;

/// A memory of one roster and one directory, as an embedder would lay it out.
struct Memory {
    map: MmapRaw,
    file: OwnedFd,
}

impl Memory {
    fn new() -> Self {
        let file = memfd_create(c"eras", MFdFlags::MFD_CLOEXEC).unwrap();
        let file = File::from(file);
        file.set_len(SIZE).unwrap();
        let memory = Self { map: MmapRaw::map_raw(&file).unwrap(), file: file.into() };
        // SAFETY: zeros that nobody else knows.
        unsafe { Roster::init_numbered(memory.region(), PLACES, PLACES) }.unwrap();
        memory
    }

    fn region(&self) -> Region<'_> {
        let base = NonNull::new(self.map.as_mut_ptr()).unwrap();
        // SAFETY: mapped for as long as `self` is borrowed.
        unsafe { Region::from_raw_parts(base, self.map.len()) }
    }

    fn join(&self) -> Participant<'_> {
        // SAFETY: made by `new`.
        let roster = unsafe { Roster::attach(self.region(), PLACES) }.unwrap();
        // SAFETY: nobody is named but in the directory and its objects.
        let roster = unsafe { roster.swept_by(self.region(), sweep) };
        let file = self.file.try_clone().unwrap();
        // SAFETY: the mapping is of this file.
        unsafe { Participant::join(roster, file, Description::Proc, Link::Nameless) }.unwrap()
    }

    /// How many words of the directory's lock and of the objects are this number, but for the two upper bits.
    fn count(&self, number: u32) -> usize {
        let objects = DIRECTORY + Directory::bytes(ENTRIES, PLACES);
        (DIRECTORY..DIRECTORY + 16)
            .chain(objects..SIZE)
            .step_by(4)
            .map(|at| self.region().read::<u32>(shmkit::layout::Offset::new(at).unwrap()).unwrap())
            .filter(|word| word & OwnerId::MASK == number)
            .count()
    }
}

fn directory(memory: Region<'_>) -> Directory<'_> {
    // SAFETY: zero at first, and used as this directory since.
    unsafe { Directory::attach(memory, DIRECTORY, ENTRIES, PLACES) }.unwrap()
}

fn sweep(memory: Region<'_>, spent: &Spent) -> Result<(), &'static str> {
    directory(memory).sweep(spent)
}

/// A participant that can lose its place in the middle of a wait: what it leaves is as if it had been killed there.
struct Victim<'a> {
    participant: Participant<'a>,
    lost: AtomicBool,
}

// SAFETY: all the memory is there.
unsafe impl shmkit::layout::Commit for Victim<'_> {}

// SAFETY: the participant's answers, or nobody's.
unsafe impl Judge for Victim<'_> {
    fn me(&self) -> Option<OwnerId> {
        self.participant.me().filter(|_| !self.lost.load(Relaxed))
    }

    fn verdict(&self, owner: OwnerId) -> Verdict {
        self.participant.verdict(owner)
    }
}

/// Finds an object of each kind, or makes it, takes all that can be taken, and is killed with it.
fn take_everything_and_die<'m>(
    memory: &'m Memory,
    victim: Victim<'_>,
    other: &'m Participant<'m>,
    made: &mut Vec<usize>,
) {
    let id = victim.me().unwrap().get();
    let directory = directory(memory.region());
    // After each kind, how many words more name us.
    let mut before = memory.count(id);
    let mut named = || {
        let now = memory.count(id);
        made.push(now - before);
        before = now;
    };
    fn object<'v, O: Object<&'v Victim<'v>>>(
        directory: Directory<'v>,
        name: &str,
        spec: O::Spec,
        victim: &'v Victim<'v>,
    ) -> O {
        directory.object(name, spec, victim).unwrap()
    }
    let v = &victim;
    forget(object::<Mutex<u64, _>>(directory, "mutex", 0, v).lock().unwrap_or_else(heir));
    named();
    let mutex = object::<ReentrantMutex<u64, _>>(directory, "reentrant", 0, v);
    forget(mutex.lock().map_err(|e| e.into_guard().map(forget)));
    named();
    forget(object::<Lock<_>>(directory, "lock", (), v).lock().unwrap());
    named();
    object::<RLock<_>>(directory, "rlock", (), v).acquire().unwrap();
    named();
    let spec = || Seated::new(0_u64).seats(SEATS);
    forget(object::<RwLock<u64, _>>(directory, "written", spec(), v).write().unwrap_or_else(heir));
    named();
    forget(object::<RwLock<u64, _>>(directory, "read", spec(), v).read().unwrap());
    named();
    let permits = Seated::new(5).seats(SEATS);
    object::<Semaphore<_>>(directory, "semaphore", permits, v).acquire().unwrap().forget();
    named();
    forget(object::<Value<u64, _>>(directory, "value", 0, v).lock().unwrap());
    named();
    let array = object::<Array<u64, _>>(directory, "array", ArraySpec::Zeroed(3), v);
    forget(array.lock().map_err(|_| ()));
    named();
    forget(object::<Barrier<_>>(directory, "barrier", 9.into(), v).party().map_err(|_| ()));
    named();
    let pipe = object::<Pipe<u64, _>>(directory, "pipe", 8, v);
    forget((pipe.sender().unwrap(), pipe.receiver().unwrap()));
    named();
    let queue = object::<Queue<u64, _>>(directory, "queue", 9.into(), v);
    queue.put_all(&[100, 101]).unwrap();
    forget((queue.take().unwrap(), queue.take().unwrap()));
    named();
    let spec = MessageSpec::new(9, 1 << 16);
    let messages = object::<MessageQueue<_>>(directory, "messages", spec, v);
    messages.put(&[7; 300]).unwrap();
    forget(messages.take().unwrap());
    named();
    forget(
        object::<Heap<_>>(directory, "heap", (1 << 16).into(), v).reserve_bytes(8).map_err(|_| ()),
    );
    named();
    let map = object::<ShmMap<u8, u64, _>>(directory, "map", MapSpec::bytes(1 << 17), v);
    map.insert(&0, &0).unwrap();
    named();
    forget(object::<ShmVec<u64, _>>(directory, "vec", 1 << 17, v).lock().unwrap());
    named();
    let deque = object::<ShmDeque<u64, _>>(directory, "deque", (1 << 17).into(), v);
    forget(deque.lock().unwrap());
    named();
    forget(object::<ShmString<_>>(directory, "string", 1 << 17, v).lock().unwrap());
    named();
    let once = object::<Once<_>>(directory, "once", (), v);
    let _ = once.raw().begin(v, Duration::from_secs(5)).unwrap();
    named();
    let cell = object::<OnceCell<u64, _>>(directory, "cell", (), v);
    // SAFETY: nobody else looks at the value, and it is never made.
    let _ = unsafe { cell.raw() }.begin(v, Duration::from_secs(5)).unwrap();
    named();
    // Of these nobody has anything.
    object::<Event<_>>(directory, "event", (), v).set().unwrap();
    object::<CountingSemaphore<_>>(directory, "counting", Count::unbounded(90), v)
        .acquire()
        .unwrap();
    object::<Atomic<u64, _>>(directory, "atomic", 0, v);
    object::<AtomicArray<u64, _>>(directory, "atomics", ArraySpec::Zeroed(3), v);
    // Last, for it ends with the loss of the place.
    let condvar = object::<Condvar<_>>(directory, "condvar", Seated::new(()).seats(SEATS), v);
    let lock = object::<Mutex<u64, _>>(directory, "awaited", 0, v);
    // The dead are counted until somebody looks.
    let dead = condvar.waiters();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let guard = lock.lock().unwrap_or_else(heir);
            guard.make_consistent();
            forget(condvar.wait(guard).map_err(|_| ()));
        });
        while condvar.waiters() == dead {
            assert!(!waiter.is_finished(), "it does not wait: {condvar:?}");
            thread::yield_now();
        }
        victim.lost.store(true, Relaxed);
        // So that it finds out at once.
        let lock: Mutex<u64, _> = directory.find("awaited", other).unwrap();
        let condvar: Condvar<_> = directory.find("condvar", other).unwrap();
        let guard = lock.lock().unwrap_or_else(heir);
        guard.make_consistent();
        assert_eq!(condvar.notify_all(&guard), Ok(1));
        drop(guard);
        waiter.join().unwrap();
    });
    named();
}

fn heir<G>(error: LockError<G>) -> G {
    error.into_guard().unwrap()
}

#[test]
fn no_word_of_any_object_keeps_the_name_of_a_place_that_begins_anew() {
    let memory = Memory::new();
    // Everybody else lives, so that the one place is taken again and again.
    let others: Vec<_> = (1..PLACES).map(|_| memory.join()).collect();
    for round in 0..4 {
        let participant = memory.join();
        let id = participant.me().unwrap().get();
        assert_eq!(id, PLACES, "the last place");
        assert_eq!(memory.count(id), 0, "round {round}: a word of a dead one names the new one");
        let there = directory(memory.region()).entries().unwrap();
        let is_unnamed = there.iter().all(|entry| entry.creator.is_none());
        assert!(is_unnamed, "round {round}: the new one is said to have made what a dead one has");
        let mut made = Vec::new();
        let victim = Victim { participant, lost: AtomicBool::new(false) };
        take_everything_and_die(&memory, victim, &others[0], &mut made);
        // Two of a reentrant mutex, a recursive lock, and all that is done once; of a lock that is written three; of a pipe
        // both ends, and who began the session; of a queue two leases, of one of messages one and its heap's seat; of a heap its seat, in a map too. Who lost its place in a wait may have taken the lock again just before.
        let awaited = made.pop();
        assert_eq!(
            made,
            [1, 2, 1, 2, 3, 1, 1, 1, 1, 1, 3, 2, 2, 1, 1, 1, 1, 1, 2, 2],
            "round {round}"
        );
        assert!(matches!(awaited, Some(1 | 2)), "round {round}: {awaited:?}");
        for other in &others {
            assert_eq!(other.verdict(OwnerId::new(id).unwrap()), Verdict::Dead);
            assert_eq!(other.verdict(OwnerId::GONE), Verdict::Dead);
        }
    }
}

#[test]
fn a_segment_is_joined_more_often_than_it_has_names() {
    let name = format!("eras-{}", std::process::id());
    let options = Options::new(1 << 16).participants(2).names(4).persistent(true);
    drop(options.create(&name).unwrap());
    for round in 0..14_u64 {
        let segment = Segment::open(&name).unwrap();
        let numbers = segment.mutex("numbers", 0_u64).unwrap();
        let mut guard = match numbers.try_lock() {
            Ok(guard) => guard,
            Err(LockError::OwnerDied(guard)) => guard,
            Err(other) => panic!("round {round}: {other}"),
        };
        assert_eq!(*guard, round);
        *guard += 1;
        guard.make_consistent();
        let doors = segment.semaphore("doors", 1).unwrap();
        doors.try_acquire().unwrap_or_else(|e| panic!("round {round}: {e}")).forget();
        // It leaves with both.
        forget(guard);
    }
    shmkit::OpenOptions::new().unlink(&name).unwrap();
}

#[test]
fn a_segment_without_a_directory_ends_with_its_names_and_says_so() {
    let name = format!("eras-raw-{}", std::process::id());
    let options = Options::new(4096).participants(1).names(3).objects(0).persistent(true);
    drop(options.create(&name).unwrap());
    for _ in 1..3 {
        drop(Segment::open(&name).unwrap());
    }
    let error = Segment::open(&name).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
    assert!(error.to_string().contains("no directory"), "{error}");
    shmkit::OpenOptions::new().unlink(&name).unwrap();
}
