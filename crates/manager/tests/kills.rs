//! Clients and managers that are killed in the middle of things.

#![expect(missing_docs, reason = "what a manager serves is public, and nobody reads this")]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shmkit_manager::{CallError, Counter, Dict, List, Manager, Queue, Ran, manager};
use shmkit_process::{Failure, Process, task};

shmkit_process::early!();

const LONG: Duration = Duration::from_secs(20);

#[track_caller]
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "it does not come to be");
        thread::sleep(Duration::from_millis(1));
    }
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid as i32), signal).unwrap();
}

/// What writes down that it has begun, and goes on for long.
struct Slow {
    file: PathBuf,
}

#[manager(crate = shmkit_manager)]
impl Slow {
    pub fn new(file: PathBuf) -> Self {
        Self { file }
    }

    pub fn work(&self, millis: u64) -> usize {
        let mut file = OpenOptions::new().append(true).create(true).open(&self.file).unwrap();
        file.write_all(b"x").unwrap();
        thread::sleep(Duration::from_millis(millis));
        runs(&self.file)
    }
}

/// How often it has begun.
fn runs(file: &Path) -> usize {
    fs::read(file).map_or(0, |text| text.len())
}

#[task(crate = shmkit_process)]
fn hold(manager: Manager, d: Dict<i64, List<i64>>, ready: Counter) -> Result<(), Failure> {
    let list = d.remove(1)?;
    let more = manager.list([1_i64])?;
    ready.add(1)?;
    loop {
        thread::park();
        let _ = (&list, &more);
    }
}

/// The same manager, as a value for a task.
fn another(manager: &Manager) -> Manager {
    Manager::connect(manager.address(), None).unwrap()
}

#[test]
fn a_client_that_is_killed_drops_what_it_held() {
    let manager = Manager::start().unwrap();
    let (d, ready) = (manager.dict().unwrap(), manager.counter(0).unwrap());
    d.insert(1, manager.list([7_i64]).unwrap()).unwrap();
    assert_eq!(manager.objects().unwrap(), 3);
    let process = Process::spawn(hold, (another(&manager), d.clone(), ready.clone())).unwrap();
    wait_until(|| ready.get().unwrap() == 1);
    assert_eq!(manager.objects().unwrap(), 4, "one that nobody else has, and one that it has made");
    process.kill().unwrap();
    wait_until(|| manager.objects().unwrap() == 2);
    assert!(d.is_empty().unwrap());
}

#[task(crate = shmkit_process)]
fn get_one(queue: Queue<i64>, ready: Counter) -> Result<(), Failure> {
    ready.add(1)?;
    queue.get()?;
    Ok(())
}

#[test]
fn a_client_that_is_killed_while_it_waits_takes_nothing() {
    let manager = Manager::start().unwrap();
    let (queue, ready) = (manager.queue::<i64>(4).unwrap(), manager.counter(0).unwrap());
    let process = Process::spawn(get_one, (queue.clone(), ready.clone())).unwrap();
    wait_until(|| ready.get().unwrap() == 1);
    // By now or in a moment it sleeps in the manager; either way it takes nothing once it is dead.
    thread::sleep(Duration::from_millis(50));
    process.kill().unwrap();
    wait_until(|| !process.is_alive());
    queue.put(7).unwrap();
    assert_eq!(queue.get_timeout(LONG).unwrap(), 7);
}

#[test]
fn a_manager_that_is_killed_in_a_call_says_so_at_once_and_the_call_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs");
    let manager = Manager::start().unwrap();
    let slow = SlowProxy::new(&manager, file.clone()).unwrap();
    let others = [slow.clone(), SlowProxy::new(&manager, file.clone()).unwrap()];
    thread::scope(|scope| {
        let call = scope.spawn(|| slow.work(60_000));
        wait_until(|| runs(&file) == 1);
        signal(manager.pid().unwrap(), Signal::SIGKILL);
        let killed = Instant::now();
        let error = call.join().unwrap().unwrap_err();
        assert!(matches!(error, CallError::Disconnected { ran: Ran::Maybe }), "{error}");
        assert!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
        for proxy in &others {
            let error = proxy.work(0).unwrap_err();
            assert!(error.is_gone(), "{error}");
        }
    });
    assert_eq!(runs(&file), 1, "nobody has repeated it");
    let status = manager.shutdown().unwrap();
    assert_eq!(status, shmkit_process::Status::Signalled(9));
}

#[test]
fn a_call_that_a_stopped_manager_has_not_read_was_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs");
    let manager = Manager::start().unwrap();
    let slow = SlowProxy::new(&manager, file.clone()).unwrap();
    let pid = manager.pid().unwrap();
    signal(pid, Signal::SIGSTOP);
    thread::scope(|scope| {
        let call = scope.spawn(|| slow.work(0));
        // It is sent when the kernel has it, which is when the caller sleeps for its answer.
        thread::sleep(Duration::from_millis(100));
        signal(pid, Signal::SIGKILL);
        let error = call.join().unwrap().unwrap_err();
        assert!(
            matches!(error, CallError::Disconnected { ran: Ran::No }) || error.is_gone(),
            "{error}"
        );
    });
    assert_eq!(runs(&file), 0);
}

#[task(crate = shmkit_process)]
fn call_slowly(slow: SlowProxy) -> Result<(), Failure> {
    slow.work(300)?;
    Ok(())
}

#[test]
fn a_client_that_is_killed_between_call_and_answer_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs");
    let manager = Manager::start().unwrap();
    let slow = SlowProxy::new(&manager, file.clone()).unwrap();
    let process = Process::spawn(call_slowly, (slow.clone(),)).unwrap();
    wait_until(|| runs(&file) == 1);
    process.kill().unwrap();
    assert_eq!(
        slow.work(400).unwrap(),
        2,
        "others are served, and what was begun is run to its end, once"
    );
}

#[task(crate = shmkit_process)]
fn start_one(file: PathBuf) -> Result<(), Failure> {
    let manager = Manager::start()?;
    let kept = manager.counter(1)?;
    fs::write(file.with_extension("new"), manager.pid().unwrap_or_default().to_string())?;
    fs::rename(file.with_extension("new"), file)?;
    loop {
        thread::park();
        let _ = &kept;
    }
}

#[test]
fn a_manager_ends_with_its_program() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let process = Process::spawn(start_one, (file.clone(),)).unwrap();
    wait_until(|| file.exists());
    let pid: u32 = fs::read_to_string(&file).unwrap().parse().unwrap();
    let manager = PathBuf::from(format!("/proc/{pid}"));
    assert!(manager.exists());
    process.kill().unwrap();
    // A dead one of whom nobody has asked is nobody's process any more.
    let is_over = || match fs::read_to_string(manager.join("stat")) {
        Ok(stat) => stat.contains(") Z "),
        Err(_) => true,
    };
    wait_until(is_over);
}

#[test]
fn a_call_gives_up_in_time_and_the_others_go_on() {
    use shmkit_manager::Remote;
    let folder = tempfile::tempdir().unwrap();
    let manager = Manager::start().unwrap();
    let slow = SlowProxy::new(&manager, folder.path().join("runs")).unwrap();
    let error = slow.limited(Duration::from_millis(20)).work(500).unwrap_err();
    assert!(matches!(error, CallError::TimedOut), "{error}");
    assert_eq!(slow.work(0).unwrap(), 2, "and its late answer is nobody else's");
}

#[task(crate = shmkit_process)]
fn lease(manager: Manager, ready: Counter) -> Result<(), Failure> {
    let _lease = manager.lease("printer", Duration::from_secs(600))?;
    ready.add(1)?;
    loop {
        thread::park();
    }
}

#[test]
fn a_lease_is_one_at_a_time_and_ends_with_its_time_or_its_holder() {
    let manager = Manager::start().unwrap();
    let ready = manager.counter(0).unwrap();
    let mut first = manager.lease("printer", Duration::from_secs(600)).unwrap();
    assert!(matches!(manager.try_lease("printer", LONG), Err(CallError::WouldBlock)));
    first.extend(LONG).unwrap();
    assert!(first.may_be_held());
    let number = first.number();
    first.end();
    // Its time ends it, and then it cannot be extended.
    let mut short = manager.lease_timeout("printer", Duration::from_millis(30), LONG).unwrap();
    let next = manager.lease_timeout("printer", LONG, LONG).unwrap();
    assert!(number < short.number() && short.number() < next.number());
    assert!(!short.may_be_held());
    assert!(matches!(short.extend(LONG), Err(CallError::Expired)));
    drop(short);
    assert!(manager.try_lease("printer", LONG).is_err(), "the other's is not ended by it");
    drop(next);
    let process = Process::spawn(lease, (another(&manager), ready.clone())).unwrap();
    wait_until(|| ready.get().unwrap() == 1);
    assert!(matches!(manager.try_lease("printer", LONG), Err(CallError::WouldBlock)));
    process.kill().unwrap();
    manager.lease_timeout("printer", LONG, LONG).unwrap();
}
