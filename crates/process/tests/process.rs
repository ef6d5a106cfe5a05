//! Tasks in processes of their own, from a test binary.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use shmkit_parcel::Descriptor;
use shmkit_process::{
    Builder, Failure, Nursery, Process, SpawnErrorKind, Status, TaskError, active_children,
    current, parent, task,
};

shmkit_process::early!();

const LONG: Duration = Duration::from_secs(20);

#[task(crate = shmkit_process)]
fn square(x: u64) -> u64 {
    x * x
}

#[task(crate = shmkit_process)]
fn describe(
    name: &str,
    bytes: &[u8],
    numbers: Vec<i32>,
    map: BTreeMap<String, f64>,
    (a, b): (u8, char),
) -> String {
    format!("{name} {bytes:?} {numbers:?} {map:?} {a}{b}")
}

#[task(crate = shmkit_process)]
fn nothing() {}

#[task(crate = shmkit_process)]
fn sleep_long() {
    std::thread::sleep(Duration::from_secs(60));
}

#[task(crate = shmkit_process)]
fn panics(why: String) -> u8 {
    panic!("because {why}");
}

#[task(crate = shmkit_process)]
fn exits(code: i32) {
    std::process::exit(code)
}

#[task(crate = shmkit_process)]
fn aborts() {
    std::process::abort()
}

#[task(crate = shmkit_process)]
fn fails(text: String) -> Result<u8, Failure> {
    Ok(text.parse()?)
}

#[task(crate = shmkit_process)]
fn who() -> (u32, String, bool, u32, bool) {
    let me = current();
    let parent = parent().unwrap();
    (me.pid, me.name, me.is_daemon, parent.pid(), parent.is_alive())
}

#[task(crate = shmkit_process)]
fn reads(mut file: Descriptor<File>) -> std::result::Result<String, Failure> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

#[task(crate = shmkit_process)]
fn opens(path: String) -> Descriptor<File> {
    File::open(path).unwrap().into()
}

#[task(crate = shmkit_process)]
fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

#[task(crate = shmkit_process)]
fn writes(text: String) {
    println!("{text}");
    eprintln!("and to the error");
    std::process::abort();
}

#[task(crate = shmkit_process)]
fn nests(depth: u32) -> Result<u32, Failure> {
    match Process::spawn(nests, (depth + 1,)) {
        Ok(process) => process.join()?,
        Err(error) if error.kind() == SpawnErrorKind::TooDeep => Ok(depth),
        Err(error) => Err(error.into()),
    }
}

#[task(crate = shmkit_process)]
fn starts() -> Result<u64, Failure> {
    Ok(Process::spawn(square, (3,))?.join()?)
}

#[task(crate = shmkit_process)]
fn forks() -> u32 {
    // SAFETY: it does nothing that another thread could have left in the middle.
    let child = unsafe { libc::fork() };
    if child != 0 {
        // SAFETY: without a status there is no memory to write to. The child comes back first.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    }
    std::process::id()
}

#[task(crate = shmkit_process)]
fn closes() -> u8 {
    for number in 0..3 {
        // SAFETY: this process does nothing with them after this.
        unsafe { libc::close(number) };
    }
    7
}

#[allow(unconditional_recursion, reason = "that is what it is for")]
fn deep(n: u64) -> u64 {
    let room = std::hint::black_box([n; 1000]);
    deep(n + 1) + room[(n % 1000) as usize]
}

#[task(crate = shmkit_process)]
fn overflows() -> u64 {
    deep(0)
}

#[test]
fn a_task_is_answered_and_stays_a_function() {
    let process = Process::spawn(square, (7,)).unwrap();
    assert_eq!(process.join().unwrap(), 49);
    assert_eq!(square(7), 49);
    let map = BTreeMap::from([("pi".to_owned(), 3.25)]);
    let args = ("x".to_owned(), vec![1, 2], vec![-1], map.clone(), (5, 'c'));
    let there = Process::spawn(describe, args).unwrap().join().unwrap();
    assert_eq!(there, describe("x", &[1, 2], vec![-1], map, (5, 'c')));
    Process::spawn(nothing, ()).unwrap().join().unwrap();
}

#[test]
fn a_life_goes_from_alive_and_listed_to_ended_and_not_listed() {
    let listed = |pid| active_children().iter().any(|child| child.pid() == pid);
    let mut process = Process::named("it").spawn(sleep_long, ()).unwrap();
    let pid = process.pid();
    assert!(process.is_alive() && listed(pid) && process.status().is_none());
    assert!(matches!(process.try_join(), Err(TaskError::TimedOut)));
    assert!(matches!(process.join_timeout(Duration::from_millis(1)), Err(TaskError::TimedOut)));
    process.terminate().unwrap();
    let error = process.join_timeout(LONG).unwrap_err();
    assert_eq!(error.death().unwrap().status, Status::Signalled(libc::SIGTERM));
    assert!(error.to_string().contains("process \"it\""), "{error}");
    assert_eq!(process.status().unwrap().code(), Some(-15));
    assert!(!process.is_alive() && !listed(pid));
    assert!(matches!(process.try_join(), Err(TaskError::Taken)));
    process.kill().unwrap(); // It does nothing.

    let process = Process::spawn(sleep_long, ()).unwrap();
    process.kill().unwrap();
    assert_eq!(process.join().unwrap_err().death().unwrap().status, Status::Signalled(9));
}

#[test]
fn whatever_ends_a_process_is_an_error_that_names_it() {
    match Process::spawn(panics, ("of that".into(),)).unwrap().join() {
        Err(TaskError::Panicked { task, panic, .. }) => {
            assert!(task.ends_with("::panics") && panic.message == "because of that");
            assert!(panic.at.contains("process.rs"));
        }
        other => panic!("{other:?}"),
    }
    let exit = Process::spawn(exits, (3,)).unwrap().join().unwrap_err();
    assert!(
        matches!(&exit, TaskError::Exited(death) if death.status == Status::Exited(3)),
        "{exit}"
    );
    let abort = Process::spawn(aborts, ()).unwrap().join().unwrap_err();
    assert!(matches!(&abort, TaskError::WorkerDied(death) if death.status == Status::Signalled(6)));
    assert!(
        abort.to_string().contains("aborts") && abort.to_string().contains("SIGABRT"),
        "{abort}"
    );
    let overflow = Process::spawn(overflows, ()).unwrap().join().unwrap_err();
    assert!(matches!(overflow, TaskError::WorkerDied(_)), "{overflow}");
    let failure = Process::spawn(fails, ("x".into(),)).unwrap().join().unwrap().unwrap_err();
    assert_eq!(failure.to_string(), "invalid digit found in string");
    assert_eq!(Process::spawn(closes, ()).unwrap().join().unwrap(), 7);
}

#[test]
fn a_child_that_the_task_forks_does_not_answer() {
    let process = Process::spawn(forks, ()).unwrap();
    let pid = process.pid();
    assert_eq!(process.join().unwrap(), pid);
}

#[test]
fn a_process_knows_itself_and_its_parent() {
    let process = Process::named("me").daemon(true).spawn(who, ()).unwrap();
    let expected = (process.pid(), "me".to_owned(), true, std::process::id(), true);
    assert_eq!(process.join().unwrap(), expected);
    assert!(parent().is_none() && current().name == "MainProcess");
}

#[test]
fn descriptors_travel_both_ways() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"what it says").unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let sent = File::open(&path).unwrap().into();
    assert_eq!(Process::spawn(reads, (sent,)).unwrap().join().unwrap().unwrap(), "what it says");
    let came = Process::spawn(opens, (path,)).unwrap().join().unwrap();
    assert_eq!(std::io::read_to_string(came.into_inner()).unwrap(), "what it says");
}

#[test]
fn what_is_larger_than_a_socket_travels_as_well() {
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| n as u8).collect();
    let process = Process::spawn(echo, (bytes.clone(),)).unwrap();
    assert_eq!(process.join().unwrap(), bytes);
}

#[test]
fn what_is_captured_stands_in_the_error() {
    let process = Builder::new().captured(true).spawn(writes, ("hello".into(),)).unwrap();
    let error = process.join().unwrap_err();
    assert_eq!(error.death().unwrap().output, "hello\nand to the error\n");
}

#[test]
fn a_task_that_starts_itself_comes_to_an_end() {
    let depth = Process::spawn(nests, (1,)).unwrap().join().unwrap().unwrap();
    assert_eq!(depth, 8);
    assert_eq!(Process::spawn(starts, ()).unwrap().join().unwrap().unwrap(), 9);
    let error = Process::named("d").daemon(true).spawn(starts, ()).unwrap().join().unwrap();
    assert!(error.unwrap_err().to_string().contains("daemon"));
}

#[test]
fn whom_a_thread_has_started_lives_on_when_the_thread_ends() {
    let process = std::thread::spawn(|| Process::spawn(sleep_long, ()).unwrap()).join().unwrap();
    // It has said hello, and so has asked for the signal.
    while !format!("{process:?}").contains("Running") {
        std::thread::yield_now();
    }
    assert!(process.is_alive());
    let start = Instant::now();
    drop(process);
    assert!(start.elapsed() < LONG);
}

#[test]
fn another_program_that_has_no_tasks_is_told_of() {
    let builder = || Builder::new().captured(true);
    let error = builder().program("/bin/false").spawn(nothing, ()).unwrap().join().unwrap_err();
    let TaskError::NotStarted(error) = error else { panic!("{error:?}") };
    assert_eq!(error.kind(), SpawnErrorKind::ExitedBeforeHello(Status::Exited(1)));
    let error = builder().program("/nowhere").spawn(nothing, ()).unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Program);
    // It writes what it was told, and is no task.
    let error = builder().program("/bin/echo").spawn(nothing, ()).unwrap().join().unwrap_err();
    assert!(error.to_string().contains("worker:"), "{error}");
}

/// What a nursery has loaded.
static LOADED: std::sync::OnceLock<(u32, Vec<u64>)> = std::sync::OnceLock::new();

#[task(crate = shmkit_process)]
fn load(numbers: Vec<u64>) {
    LOADED.set((std::process::id(), numbers)).unwrap();
}

#[task(crate = shmkit_process)]
fn loaded(at: usize) -> Option<(u32, u64, u32, String)> {
    let (by, numbers) = LOADED.get()?;
    Some((*by, numbers[at], std::process::id(), current().name))
}

#[task(crate = shmkit_process)]
fn load_badly() {
    panic!("there is nothing to load");
}

#[task(crate = shmkit_process)]
fn leave_a_thread() {
    std::thread::spawn(|| std::thread::sleep(Duration::from_secs(60)));
}

#[task(crate = shmkit_process)]
fn wait_and_answer(mut until: Descriptor<UnixStream>) -> Result<u8, Failure> {
    let mut byte = [0];
    until.read_exact(&mut byte)?;
    Ok(byte[0])
}

#[test]
fn what_a_nursery_has_loaded_is_there_in_what_it_forks() {
    let nursery = Nursery::preload(load, (vec![5, 6, 7],)).unwrap();
    let fork = || Builder::new().name("forked").nursery(&nursery);
    for at in 0..3 {
        let process = fork().spawn(loaded, (at,)).unwrap();
        let expected = (nursery.pid(), 5 + at as u64, process.pid(), "forked".to_owned());
        assert_eq!(process.join().unwrap(), Some(expected));
    }
    assert_eq!(Process::spawn(loaded, (0,)).unwrap().join().unwrap(), None);
    // As of any other process.
    let exit = fork().spawn(exits, (3,)).unwrap().join().unwrap_err();
    assert!(
        matches!(&exit, TaskError::Exited(death) if death.status == Status::Exited(3)),
        "{exit}"
    );
    let error = fork().captured(true).spawn(writes, ("hello".into(),)).unwrap().join().unwrap_err();
    assert_eq!(error.death().unwrap().output, "hello\nand to the error\n");
    assert_eq!(fork().spawn(starts, ()).unwrap().join().unwrap().unwrap(), 9);
}

#[test]
fn prc_19_what_a_nursery_has_forked_outlives_it_and_another_takes_its_place() {
    let nursery = Nursery::preload(load, (vec![1],)).unwrap();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let fork = || Builder::new().nursery(&nursery);
    let mut running = fork().spawn(wait_and_answer, (theirs.into(),)).unwrap();
    let before = nursery.pid();
    let child = active_children().into_iter().find(|child| child.pid() == before).unwrap();
    child.kill().unwrap();
    child.wait();
    assert!(matches!(running.try_join(), Err(TaskError::TimedOut)));
    ours.write_all(&[4]).unwrap();
    assert_eq!(running.join_timeout(LONG).unwrap().unwrap(), 4);
    assert_eq!(running.status(), Some(Status::Exited(0)));
    let (by, ..) = fork().spawn(loaded, (0,)).unwrap().join().unwrap().unwrap();
    assert!(by == nursery.pid() && by != before);
}

#[test]
fn a_nursery_that_cannot_fork_says_why() {
    let error = Nursery::preload(load_badly, ()).unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Preload);
    let nursery = Nursery::preload(leave_a_thread, ()).unwrap();
    let error = Builder::new().nursery(&nursery).spawn(nothing, ()).unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::TooManyThreads);
}

#[task(crate = shmkit_process)]
fn count(files: Vec<Descriptor<File>>) -> usize {
    files.len()
}

#[test]
fn more_descriptors_than_a_parcel_has_room_for_are_an_error_and_no_wait() {
    let files = |n: usize| (0..n).map(|_| File::open("/dev/null").unwrap().into()).collect();
    assert_eq!(Process::spawn(count, (files(600),)).unwrap().join().unwrap(), 600);
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: one structure, which lives on.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    let most = shmkit_parcel::MOST_FILES + 1;
    if limit.rlim_cur as usize > 3 * most {
        let error = Process::spawn(count, (files(most),)).unwrap().join().unwrap_err();
        assert!(error.to_string().contains("descriptors"), "{error}");
    }
}
