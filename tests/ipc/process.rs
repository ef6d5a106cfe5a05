//! What becomes of processes whose parent is killed, and of what travels to them.

#![expect(clippy::too_many_arguments, reason = "a handle of each kind, each an argument by itself")]

use std::fs;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use shmkit::process::Builder;
use shmkit::{
    Array, Barrier, Event, Failure, LockError, Mutex, New, NewPlain, Objects, Process, Queue,
    Segment, Semaphore, TaskError, Value, task,
};

use crate::support::wait_until;

const LONG: Duration = Duration::from_secs(20);
/// A variable of those whose end is looked for.
const MARK: &str = "SHMKIT_TEST_ORPHAN";

#[task]
fn sleep() {
    std::thread::sleep(Duration::from_secs(600));
}

/// Starts a process when it is told to.
#[task]
fn start_one(mark: String, ready: Event, go: Event) -> Result<(), Failure> {
    ready.set()?;
    go.wait_timeout(LONG)?;
    let process = Builder::new().env(MARK, mark).spawn(sleep, ())?;
    ready.clear()?;
    Ok(process.join()?)
}

/// The living that have the mark in their environment.
fn marked(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}\0");
    let numbers = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let has_it = |pid: &i32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.windows(wanted.len()).any(|window| window == wanted.as_bytes())
    };
    numbers.filter(has_it).collect()
}

/// Has the victim go on until its threads together have come to their `n`th system call, and kills it there. Returns whether there
/// were so many before it was done.
fn kill_at(victim: Pid, n: u32, go: &Event, done: impl Fn() -> bool) -> bool {
    // Of this thread alone: others of this process are the keeper's.
    let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
    let options =
        Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL;
    ptrace::seize(victim, options).unwrap();
    ptrace::interrupt(victim).unwrap();
    let (mut calls, mut has_begun) = (0, false);
    let start = Instant::now();
    let reached = loop {
        assert!(start.elapsed() < LONG, "the victim stands still after {calls} calls");
        if has_begun && done() {
            break false;
        }
        let stopped = match waitpid(None, Some(flags | WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => {
                std::thread::yield_now();
                continue;
            }
            Ok(stopped) => stopped,
            Err(Errno::ECHILD) => break true,
            Err(errno) => panic!("{errno}"),
        };
        match stopped {
            WaitStatus::PtraceSyscall(thread) => {
                calls += 1;
                if calls == n {
                    break true;
                }
                let _ = ptrace::syscall(thread, None);
            }
            WaitStatus::PtraceEvent(thread, ..) => {
                if !has_begun {
                    has_begun = true;
                    go.set().unwrap();
                }
                let _ = ptrace::syscall(thread, None);
            }
            WaitStatus::Stopped(thread, signal) => {
                let signal = (signal != Signal::SIGSTOP).then_some(signal);
                let _ = ptrace::syscall(thread, signal);
            }
            _ => {}
        }
    };
    kill(victim, Signal::SIGKILL).unwrap();
    // Until nobody of it is traced any more.
    while waitpid(None, Some(flags)).is_ok() {}
    reached
}

#[test]
fn a_parent_that_is_killed_at_any_system_call_of_a_start_leaves_nobody() {
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    let mut slowest = Duration::ZERO;
    let mut n = 1;
    loop {
        let mark = format!("{}-{n}", std::process::id());
        let (ready, go) = (Event::new().unwrap(), Event::new().unwrap());
        let args = (mark.clone(), ready.clone(), go.clone());
        let process = Process::spawn(start_one, args).unwrap();
        ready.wait_timeout(LONG).unwrap();
        let victim = Pid::from_raw(process.pid() as i32);
        let reached = kill_at(victim, n, &go, || !ready.is_set());
        let killed = Instant::now();
        let error = process.join().unwrap_err();
        assert!(matches!(error, TaskError::WorkerDied(_)), "{error}");
        wait_until(|| marked(&mark).is_empty());
        slowest = slowest.max(killed.elapsed());
        if !reached {
            break;
        }
        n += 1;
    }
    assert!(n > 30, "only {n} system calls were seen");
    assert!(slowest < LONG, "{slowest:?}");
    // Others of this program open and close some meanwhile.
    wait_until(|| descriptors() < before + 50);
}

#[task]
fn use_all(
    value: Value<i64>,
    array: Array<u32>,
    mutex: Mutex<u64>,
    event: Event,
    semaphore: Semaphore,
    barrier: Barrier,
    queue: Queue<u64>,
    segment: Segment,
) -> Result<Value<i64>, Failure> {
    value.update(|n| *n += 1)?;
    array.set(0, 9)?;
    *mutex.lock().map_err(LockError::detach)? += 1;
    let permit = semaphore.acquire()?;
    event.set()?;
    barrier.wait_timeout(LONG)?;
    queue.put(5)?;
    drop(permit);
    segment.value("by its name", 0_u8)?.set(4)?;
    Ok(value)
}

#[test]
fn handles_of_all_kinds_travel_and_one_comes_back() {
    let segment = shmkit::Options::new(1 << 16).anonymous().unwrap();
    let value = Value::new(41_i64).unwrap();
    let array = Array::<u32>::new(3).unwrap();
    let (mutex, event) = (Mutex::new(1_u64).unwrap(), Event::new().unwrap());
    let (semaphore, barrier) = (Semaphore::new(1_u32).unwrap(), Barrier::new(2_u32).unwrap());
    let queue = Queue::<u64>::new(4_u64).unwrap();
    let args = (
        value.clone(),
        array.clone(),
        mutex.clone(),
        event.clone(),
        semaphore.clone(),
        barrier.clone(),
        queue.clone(),
        segment.clone(),
    );
    let process = Process::spawn(use_all, args).unwrap();
    barrier.wait_timeout(LONG).unwrap();
    assert_eq!(queue.get_timeout(LONG).unwrap(), 5);
    let back = process.join().unwrap().unwrap();
    assert_eq!((value.get().unwrap(), back.get().unwrap()), (42, 42));
    assert_eq!((array.get(0).unwrap(), *mutex.lock().unwrap(), event.is_set()), (9, 2, true));
    assert_eq!(segment.value("by its name", 0_u8).unwrap().get().unwrap(), 4);
}

#[task]
fn hold(mutex: Mutex<u64>, held: Event) -> Result<(), Failure> {
    let mut guard = mutex.lock().map_err(LockError::detach)?;
    *guard = 7;
    held.set()?;
    std::thread::sleep(Duration::from_secs(600));
    Ok(())
}

#[test]
fn a_process_that_is_killed_with_a_lock_leaves_it_to_who_waits() {
    let (mutex, held) = (Mutex::new(0_u64).unwrap(), Event::new().unwrap());
    let process = Process::spawn(hold, (mutex.clone(), held.clone())).unwrap();
    held.wait_timeout(LONG).unwrap();
    process.kill().unwrap();
    let Err(LockError::OwnerDied(guard)) = mutex.lock_timeout(LONG) else {
        panic!("nobody was told")
    };
    assert_eq!(*guard, 7);
    guard.make_consistent();
    drop(guard);
    assert!(matches!(process.join(), Err(TaskError::WorkerDied(_))));
}

#[test]
fn an_argument_may_be_dropped_as_soon_as_its_process_is_started() {
    for _ in 0..20 {
        let value = Value::new(3_i64).unwrap();
        let process = Process::spawn(read, (value,)).unwrap();
        assert_eq!(process.join().unwrap().unwrap(), 3);
    }
}

#[task]
fn read(value: Value<i64>) -> Result<i64, Failure> {
    Ok(value.get()?)
}
