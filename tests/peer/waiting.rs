//! What a peer does with an event, a counting semaphore, a barrier and a cell that is made once.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use shmkit::{
    ActionError, Array, Atomic, Barrier, BarrierError, CountingSemaphore, Event, Mutex,
    ObjectError, Objects, OnceCell, Party, Segment,
};

use crate::Channel;

/// Two numbers that are equal, or half-written.
pub type Pair = [u64; 2];

/// Far longer than anything takes.
const LONG: Duration = Duration::from_secs(15);

/// Makes the objects that the scripts use.
///
/// # Errors
///
/// That of the segment.
pub fn make(segment: &Segment) -> Result<(), ObjectError> {
    segment.event("event")?;
    segment.counting_semaphore("items", 0)?;
    segment.counting_semaphore("turns", 0)?;
    segment.bounded_semaphore("bounded", 3)?;
    segment.barrier("barrier 2", 2)?;
    segment.barrier("barrier 5", 5)?;
    segment.once_cell::<Pair>("cell")?;
    segment.atomic("laps", 0_u64)?;
    segment.atomic("actions", 0_u64)?;
    segment.mutex("lock", 0_u64)?;
    segment.array::<u64>("numbers", 5001)?;
    Ok(())
}

/// The script of a peer that has joined its segment.
///
/// # Panics
///
/// If there is no such script, or the script finds something wrong.
pub(crate) fn play(script: &str, args: &[String], segment: &Segment, channel: &mut Channel) {
    let number = || args[0].parse::<u32>().expect("a number");
    match script {
        "obey" => obey(segment, channel),
        "ping-pong" => ping_pong(segment, number()),
        "race" => race(segment, number()),
        "laps" => laps(segment, number().into()),
        "thousand" => thousand(segment),
        _ => panic!("no script waiting/{script}"),
    }
}

fn counting(segment: &Segment, name: &str) -> CountingSemaphore {
    segment.find(name).expect("a counting semaphore")
}

/// The barrier that was made with a time-out: whoever finds it need not know that.
fn default_barrier(segment: &Segment) -> Barrier {
    segment.find("default").expect("a barrier")
}

fn barrier(segment: &Segment, parties: &str) -> Barrier {
    segment.find(&format!("barrier {parties}")).expect("a barrier")
}

/// Takes an item, gives a turn.
fn ping_pong(segment: &Segment, times: u32) {
    let (items, turns) = (counting(segment, "items"), counting(segment, "turns"));
    for _ in 0..times {
        items.acquire_timeout(LONG).expect("an item");
        turns.release(1).expect("no bound");
    }
}

/// Takes one now and then, and releases as often as it can.
fn race(segment: &Segment, times: u32) {
    let bounded = counting(segment, "bounded");
    let mut taken = 0;
    for i in 0..times {
        if i % 3 == 0 && bounded.try_acquire().is_ok() {
            taken += 1;
        } else if bounded.release(1).is_ok() {
            taken -= 1;
        }
        assert!(bounded.value() <= 3);
    }
    // Every release beyond its own was of what another had taken: in the end all is there.
    let _ = taken;
    while bounded.release(1).is_ok() {}
}

/// Adds to a count, waits, and checks that all have; twice for each lap.
fn laps(segment: &Segment, laps: u64) {
    let barrier = barrier(segment, "5");
    let count = segment.find::<Atomic<u64>>("laps").expect("laps");
    for lap in 1..=2 * laps {
        count.fetch_add(1);
        barrier.wait_timeout(LONG).expect("passed");
        assert_eq!(count.load(), 5 * lap, "one had not come, or one has passed twice");
        barrier.wait_timeout(LONG).expect("passed");
    }
}

/// Passes a thousand times, and writes the number of the pass down each time.
fn thousand(segment: &Segment) {
    let barrier = barrier(segment, "5");
    let lock = segment.find::<Mutex<u64>>("lock").expect("lock");
    let numbers = segment.find::<Array<u64>>("numbers").expect("numbers");
    for pass in 0..1000 {
        barrier.wait_timeout(LONG).expect("passed");
        let mut next = lock.lock().expect("nobody dies");
        *next += 1;
        numbers.set(*next as usize, pass).expect("room");
        numbers.set(0, *next).expect("room");
    }
}

/// Does as it is told, a line at a time.
fn obey(segment: &Segment, channel: &mut Channel) {
    let event = segment.find::<Event>("event").expect("event");
    let cell = segment.find::<OnceCell<Pair>>("cell").expect("cell");
    let actions = segment.find::<Atomic<u64>>("actions").expect("actions");
    let mut party: Option<Party> = None;
    channel.say("ready");
    loop {
        let line = channel.hear();
        let mut words = line.splitn(2, ' ');
        let verb = words.next().expect("a verb");
        let rest = words.next().unwrap_or_default();
        let (first, second) = rest.split_once(' ').unwrap_or((rest, "0"));
        let millis = |text: &str| Duration::from_millis(text.parse().expect("a number"));
        let start = Instant::now();
        let at_least = |wait: Duration| assert!(start.elapsed() >= wait, "{:?}", start.elapsed());
        let answer = match verb {
            "end" => return,
            "set" => done(event.set()),
            "clear" => done(event.clear()),
            "await" => event.wait().map_or_else(|e| format!("{e:?}"), |()| "set".to_owned()),
            "await-for" => match event.wait_timeout(millis(first)) {
                Ok(()) => "set".to_owned(),
                Err(error) => {
                    at_least(millis(first));
                    format!("{error:?}")
                }
            },
            "set-by-signal" => set_by_signal(segment),
            "toggle" => {
                for _ in 0..first.parse().expect("a number") {
                    event.set().expect("joined");
                    assert!(event.is_set() || !event.is_set());
                    event.clear().expect("joined");
                }
                "done".to_owned()
            }
            "set-in-sandbox" => {
                refuse_wake_op();
                Errno::from_raw(77).set();
                event.set().expect("joined");
                format!("errno {}", Errno::last_raw())
            }
            "acquire" => counting(segment, first)
                .acquire()
                .map_or_else(|e| format!("{e:?}"), |()| "acquired".to_owned()),
            "try-acquire" => counting(segment, first)
                .try_acquire()
                .map_or_else(|e| format!("{e:?}"), |()| "acquired".to_owned()),
            "acquire-for" => match counting(segment, first).acquire_timeout(millis(second)) {
                Ok(()) => "acquired".to_owned(),
                Err(error) => {
                    at_least(millis(second));
                    format!("{error:?}")
                }
            },
            "meet" => passed(barrier(segment, first).wait()),
            "meet-default" => passed(default_barrier(segment).wait()),
            "meet-for" => passed(barrier(segment, first).wait_timeout(millis(second))),
            "register" => {
                party = Some(barrier(segment, first).party().expect("a place"));
                "done".to_owned()
            }
            "meet-registered" => passed(party.as_mut().expect("registered").wait()),
            "reset" => done(barrier(segment, first).reset()),
            "act" => {
                let act = || {
                    actions.fetch_add(1);
                    Ok::<_, ()>(())
                };
                let waited = barrier(segment, first).wait_with(act);
                waited.map_or_else(
                    |error| format!("{error:?}"),
                    |_| format!("passed, {} actions", actions.load()),
                )
            }
            "fail" => match barrier(segment, first).wait_with(|| Err("its own")) {
                Err(ActionError::Action(error)) => format!("{error} error"),
                other => format!("{other:?}"),
            },
            "make" => {
                let number = first.parse().expect("a number");
                let made = cell.get_or_init(|| [number; 2]);
                made.map_or_else(|e| format!("{e:?}"), |pair| format!("{pair:?}"))
            }
            "make-slowly" | "fail-slowly" => {
                let made = cell.get_or_try_init(|| {
                    channel.say("making");
                    channel.hear();
                    if verb == "fail-slowly" { Err("failed") } else { Ok([1, 1]) }
                });
                made.map_or_else(|_| "failed".to_owned(), |pair| format!("{pair:?}"))
            }
            "make-in" => {
                let cell = segment.once_cell::<Pair>(rest).expect("made or found");
                let number = std::process::id().into();
                let made = cell.get_or_init(|| [number; 2]);
                made.map_or_else(|e| format!("{e:?}"), |pair| format!("{pair:?}"))
            }
            "see" => cell.wait().map_or_else(|e| format!("{e:?}"), |pair| format!("{pair:?}")),
            _ => panic!("no verb {verb}"),
        };
        channel.say(&answer);
    }
}

fn done<E: std::fmt::Debug>(result: Result<(), E>) -> String {
    result.map_or_else(|error| format!("{error:?}"), |()| "done".to_owned())
}

fn passed(result: Result<u32, BarrierError>) -> String {
    result.map_or_else(|error| format!("{error:?}"), |number| format!("passed {number}"))
}

/// Where the event is that the signal handler sets.
static EVENT: OnceLock<usize> = OnceLock::new();

/// From now on SIGUSR1 sets the event, whatever it interrupts.
fn set_by_signal(segment: &Segment) -> String {
    extern "C" fn set(_: i32) {
        let event = *EVENT.get().expect("stored before");
        let event = std::ptr::with_exposed_provenance::<Event>(event);
        // SAFETY: leaked below, and of a segment that outlives the script, after which no signal comes.
        let event = unsafe { &*event };
        event.set().expect("joined");
    }
    let event: Event = segment.find("event").expect("event");
    let event: *const Event = Box::leak(Box::new(event));
    EVENT.get_or_init(|| event.expose_provenance());
    let action = SigAction::new(SigHandler::Handler(set), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does only what a handler may: that is under test.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("sigaction");
    "done".to_owned()
}

/// From now on `FUTEX_WAKE_OP` answers ENOSYS in this process.
fn refuse_wake_op() {
    const fn statement(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt, jf, k }
    }
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let ret = libc::BPF_RET | libc::BPF_K;
    // `struct seccomp_data`: the call's number at 0, the lower half of its second argument at 24 (or 28).
    let second = if cfg!(target_endian = "little") { 24 } else { 28 };
    let mut filter = [
        statement(load, 0, 0, 0),
        statement(equal, 0, 3, libc::SYS_futex as u32),
        statement(load, 0, 0, second),
        statement(equal, 0, 1, libc::FUTEX_WAKE_OP as u32),
        statement(ret, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        statement(ret, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    nix::sys::prctl::set_no_new_privs().expect("prctl");
    // SAFETY: the program is live for the call, and the kernel checks it.
    let failed =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(failed, 0, "{}", std::io::Error::last_os_error());
}
