//! Processes.

use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
use shmkit::process::{Builder, active_children, cpu_count, current, parent};
use shmkit::{Event, Failure, New, NewPlain, Process, Status, TaskError, Value, task};

use crate::support::wait_until;

const LONG: Duration = Duration::from_secs(20);

#[task]
fn nothing() {}

#[task]
fn give_back(n: i64, text: &str, list: Vec<i64>, one: (i64,)) -> (i64, String, Vec<i64>, (i64,)) {
    (n, text.to_owned(), list, one)
}

#[task]
fn about_me() -> (u32, String, bool, Option<u32>, usize) {
    let me = current();
    (me.pid, me.name, me.is_daemon, parent().map(|parent| parent.pid()), active_children().len())
}

#[task]
fn sleep() {
    thread::sleep(Duration::from_secs(600));
}

/// Sees the end of who started it: 1 alive, 2 not alive.
#[task]
fn watch(seen: Value<u32>) -> Result<(), Failure> {
    let parent = parent().ok_or_else(|| Failure::new("it has a parent"))?;
    if parent.is_alive() {
        seen.set(1)?;
    }
    if let Some(descriptor) = parent.descriptor() {
        poll(&mut [PollFd::new(descriptor, PollFlags::POLLIN)], PollTimeout::from(20_000_u16))?;
    }
    if !parent.is_alive() {
        seen.set(2)?;
    }
    Ok(())
}

#[task]
fn start_a_watch(seen: Value<u32>) -> Result<(), Failure> {
    let _child = Builder::new().detached(true).spawn(watch, (seen,))?;
    thread::sleep(Duration::from_secs(600));
    Ok(())
}

#[task]
fn without_files() -> Result<u64, Failure> {
    for number in 0..3 {
        // SAFETY: this process does nothing with them after this.
        unsafe { libc::close(number) };
    }
    // Its child has none either.
    Ok(Process::spawn(squared, (4,))?.join()?)
}

#[task]
fn squared(x: u64) -> u64 {
    println!("{x}");
    x * x
}

#[task]
fn panic_with(text: String) {
    panic!("{text}");
}

#[task]
fn exit_with(code: i32) {
    std::process::exit(code);
}

/// Where the exit hook writes to.
static HOOKED: std::sync::OnceLock<String> = std::sync::OnceLock::new();

extern "C" fn hook() {
    let _ = std::fs::write(HOOKED.get().unwrap(), "written");
}

#[task]
fn hooked(path: String) -> i32 {
    HOOKED.get_or_init(|| path);
    // SAFETY: the hook runs at the end of the process, and needs nothing that is gone by then.
    unsafe { libc::atexit(hook) }
}

/// What has run at the end of the process, in order.
static RAN: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());

struct Leaves(char);

impl Drop for Leaves {
    fn drop(&mut self) {
        RAN.lock().unwrap().push(self.0);
    }
}

extern "C" fn first_hook() {
    RAN.lock().unwrap().push('1');
    let _ = std::fs::write(HOOKED.get().unwrap(), &*RAN.lock().unwrap());
}

extern "C" fn second_hook() {
    RAN.lock().unwrap().push('2');
}

/// Drops `a` by hand, `b` at its end, and has a value that nobody drops; exit hooks run in the reverse order of their making.
#[task]
fn finalises(path: String) {
    HOOKED.get_or_init(|| path);
    for hook in [first_hook as extern "C" fn(), second_hook] {
        // SAFETY: as above.
        unsafe { libc::atexit(hook) };
    }
    let (a, _b) = (Leaves('a'), Leaves('b'));
    std::mem::forget(Leaves('c'));
    drop(a);
}

/// Where its thread is among those of all processes, by the kernel: the process's number, and the thread's.
#[task]
fn first_thread() -> (u32, String) {
    let path = std::fs::read_link("/proc/thread-self").unwrap();
    (std::process::id(), path.to_str().unwrap().to_owned())
}

/// What a child is told of how much is to be said.
#[task]
fn level() -> Option<String> {
    std::env::var("RUST_LOG").ok()
}

#[task]
fn level_of_a_child() -> Result<Option<String>, Failure> {
    Ok(Process::spawn(level, ())?.join()?)
}

#[task]
fn generation(left: u32) -> Result<u32, Failure> {
    if left == 0 {
        return Ok(0);
    }
    Ok(Process::spawn(generation, (left - 1,))?.join()?? + 1)
}

#[test]
fn prc_01_a_process_knows_itself() {
    let me = current();
    assert_eq!((me.pid, &*me.name, me.is_daemon), (std::process::id(), "MainProcess", false));
}

#[test]
fn prc_02_arguments_come_as_they_were() {
    let there =
        Process::spawn(give_back, (1, "str".into(), vec![1], (1,))).unwrap().join().unwrap();
    assert_eq!(there, (1, "str".to_owned(), vec![1], (1,)));
}

#[test]
fn prc_04_a_parent_is_known_to_its_child_alone() {
    assert!(parent().is_none());
    let process = Process::named("it").spawn(about_me, ()).unwrap();
    let expected = (process.pid(), "it".to_owned(), false, Some(std::process::id()), 0);
    assert_eq!(process.join().unwrap(), expected);
}

#[test]
fn prc_05_a_grandchild_sees_the_end_of_its_parent() {
    let seen = Value::new(0_u32).unwrap();
    let process = Process::spawn(start_a_watch, (seen.clone(),)).unwrap();
    wait_until(|| seen.get().unwrap() == 1);
    process.terminate().unwrap();
    wait_until(|| seen.get().unwrap() == 2);
}

#[test]
fn prc_06_07_08_11_a_life_from_its_begin_to_its_end() {
    let listed = |pid| active_children().iter().any(|child| child.pid() == pid);
    for (signal, code) in [(Signal::SIGTERM, -15), (Signal::SIGKILL, -9), (Signal::SIGINT, -2)] {
        let mut process = Process::named("named").daemon(true).spawn(sleep, ()).unwrap();
        let pid = process.pid();
        assert!(process.is_alive() && process.status().is_none() && listed(pid));
        assert_eq!((process.name(), process.is_daemon()), ("named", true));
        let start = Instant::now();
        assert!(matches!(process.try_join(), Err(TaskError::TimedOut)));
        assert!(matches!(process.join_timeout(Duration::ZERO), Err(TaskError::TimedOut)));
        assert!(start.elapsed() < LONG);
        match signal {
            Signal::SIGTERM => process.terminate(),
            Signal::SIGKILL => process.kill(),
            _ => process.interrupt(),
        }
        .unwrap();
        let error = process.join_timeout(LONG).unwrap_err();
        assert_eq!(error.death().unwrap().status.code(), Some(code), "{error}");
        assert!(!process.is_alive() && !listed(pid));
        assert_eq!(process.status().and_then(Status::code), Some(code));
    }
}

#[test]
fn prc_10_there_is_a_processor() {
    let here = cpu_count().get();
    assert!(here >= 1 && here <= thread::available_parallelism().unwrap().get());
}

#[test]
fn prc_12_a_descriptor_is_readable_when_the_process_has_ended() {
    let process = Process::spawn(sleep, ()).unwrap();
    let is_ready = |millis: u16| {
        let mut asked = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
        poll(&mut asked, PollTimeout::from(millis)).unwrap() == 1
    };
    assert!(!is_ready(0));
    process.kill().unwrap();
    assert!(is_ready(20_000));
}

#[test]
fn prc_13_23_an_answer_is_taken_once_and_by_the_parent_alone() {
    let mut process = Process::spawn(squared, (3,)).unwrap();
    assert_eq!(process.join_timeout(LONG).unwrap(), 9);
    assert!(matches!(process.try_join(), Err(TaskError::Taken)));

    let mut process = Process::spawn(sleep, ()).unwrap();
    // SAFETY: the child takes no lock that another thread could have held.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let refused = matches!(process.try_join(), Err(TaskError::NotOurs));
            // Dropped there, it is not killed.
            drop(process);
            // SAFETY: it does not return.
            unsafe { libc::_exit(i32::from(!refused)) }
        }
        ForkResult::Parent { child } => {
            let ended = waitpid(child, None).unwrap();
            assert!(matches!(ended, nix::sys::wait::WaitStatus::Exited(_, 0)), "{ended:?}");
        }
    }
    assert!(process.is_alive());
}

#[test]
fn prc_14_a_hundred_end_well_and_a_hundred_are_ended() {
    let well: Vec<_> = (0..100).map(|_| Process::spawn(nothing, ()).unwrap()).collect();
    for mut process in well {
        process.join_timeout(LONG).unwrap();
        assert_eq!(process.status(), Some(Status::Exited(0)));
    }
    let ended: Vec<_> = (0..100).map(|_| Process::spawn(sleep, ()).unwrap()).collect();
    ended.iter().for_each(|process| process.terminate().unwrap());
    for mut process in ended {
        let error = process.join_timeout(LONG).unwrap_err();
        // One that had not begun to run tasks is as dead.
        assert!(matches!(&error, TaskError::WorkerDied(_)), "{error}");
        assert!(process.status().unwrap().code() == Some(-15), "{error}");
    }
}

#[test]
fn prc_16_without_standard_files_a_process_and_its_child_end_well() {
    let mut process = Process::spawn(without_files, ()).unwrap();
    assert_eq!(process.join_timeout(LONG).unwrap().unwrap(), 16);
    assert_eq!(process.status(), Some(Status::Exited(0)));
}

#[test]
fn prc_17_a_panic_is_told_twice() {
    let mut process = Builder::new().captured(true).spawn(panic_with, ("gone".into(),)).unwrap();
    let error = process.join_timeout(LONG).unwrap_err();
    assert!(
        matches!(&error, TaskError::Panicked { panic, .. } if panic.message == "gone"),
        "{error}"
    );
    assert!(String::from_utf8(process.output()).unwrap().contains("gone"));
    assert_eq!(process.status(), Some(Status::Exited(101)));
}

#[test]
fn prc_18_an_exit_code_is_told() {
    for code in [0, 1, 8] {
        let error = Process::spawn(exit_with, (code,)).unwrap().join().unwrap_err();
        let TaskError::Exited(death) = error else { panic!("{error}") };
        assert_eq!(death.status, Status::Exited(code));
    }
}

#[test]
fn prc_20_a_signal_does_not_end_a_wait() {
    extern "C" fn nothing_at_all(_: libc::c_int) {}
    let action =
        SigAction::new(SigHandler::Handler(nothing_at_all), SaFlags::empty(), SigSet::empty());
    // SAFETY: a handler that does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    let go = Event::new().unwrap();
    let process = Process::spawn(wait_for, (go.clone(),)).unwrap();
    thread::scope(|scope| {
        let wait = scope.spawn(|| process.join());
        for _ in 0..50 {
            kill(Pid::this(), Signal::SIGUSR1).unwrap();
            thread::sleep(Duration::from_millis(1));
        }
        go.set().unwrap();
        wait.join().unwrap().unwrap().unwrap();
    });
}

#[task]
fn wait_for(go: Event) -> Result<(), Failure> {
    Ok(go.wait_timeout(LONG)?)
}

#[test]
fn prc_24_a_daemon_starts_nobody() {
    let process = Process::named("daemon").daemon(true).spawn(generation, (1,)).unwrap();
    let failure = process.join().unwrap().unwrap_err();
    assert!(failure.to_string().contains("daemon"), "{failure}");
}

#[test]
fn prc_25_exit_hooks_run() {
    let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let text = path.to_str().unwrap().to_owned();
    assert_eq!(Process::spawn(hooked, (text,)).unwrap().join().unwrap(), 0);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "written");
}

#[test]
fn prc_26_a_task_runs_in_the_first_thread_of_its_own_process() {
    let process = Process::spawn(first_thread, ()).unwrap();
    let pid = process.pid();
    assert_ne!(pid, std::process::id());
    assert_eq!(process.join().unwrap(), (pid, format!("{pid}/task/{pid}")));
}

/// Whatever the program logs by: what the environment says of that holds in its children, and theirs.
#[test]
fn prc_28_a_child_logs_as_much_as_its_parent() {
    let parent = Builder::new().env("RUST_LOG", "debug").spawn(level_of_a_child, ()).unwrap();
    assert_eq!(parent.join().unwrap().unwrap().as_deref(), Some("debug"));
}

/// By hand, at the end of the scope, at exit the newest first; what is forgotten has no end. There are no priorities.
#[test]
fn prc_29_what_ends_with_a_task_ends_in_order() {
    let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let text = path.to_str().unwrap().to_owned();
    Process::spawn(finalises, (text,)).unwrap().join().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "ab21");
}

#[test]
fn prc_30_five_generations_stand_one_above_the_other() {
    let depth = Process::spawn(generation, (5,)).unwrap().join().unwrap().unwrap();
    assert_eq!(depth, 5);
}
