//! Tasks of a real pool that are called by real clients, who go away and are killed, as is the program.
#![cfg(not(loom))]

mod limits;

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, id};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, Pid, Uid, alarm, fork, geteuid, pause, setuid};
use shmkit_call::{CallError, CallErrorKind, Client, Server};
use shmkit_connection::{Address, Connection, Listener};
use shmkit_parcel::Descriptor;
use shmkit_pool::Pool;
use shmkit_process::{Failure, Process, TaskError, task};

shmkit_process::early!();

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);
/// A time to run out.
const SHORT: Duration = Duration::from_millis(100);

#[task(crate = shmkit_process)]
fn nothing() {}

#[task(crate = shmkit_process)]
fn square(x: u64) -> u64 {
    x * x
}

#[task(crate = shmkit_process)]
fn cook(dish: &str, plates: Option<u32>) -> String {
    format!("{} of {dish}", plates.unwrap_or(1))
}

#[task(crate = shmkit_process)]
fn parse(text: String) -> Result<u8, Failure> {
    Ok(text.parse()?)
}

/// Fails with so many letters of two bytes.
#[task(crate = shmkit_process)]
fn complains(n: usize) -> Result<(), String> {
    Err("é".repeat(n))
}

#[task(crate = shmkit_process)]
fn sevens(n: usize) -> Vec<u8> {
    vec![7; n]
}

#[task(crate = shmkit_process)]
fn panics() {
    panic!("there is no soup");
}

#[task(crate = shmkit_process)]
fn takes_a_descriptor(_: Descriptor<OwnedFd>) {}

/// Says that it has begun, and by whom, and goes on when it may.
#[task(crate = shmkit_process)]
fn hold(place: PathBuf) -> u32 {
    fs::write(place.join("new"), id().to_string()).unwrap();
    fs::rename(place.join("new"), place.join("begun")).unwrap();
    until(|| place.join("go").exists());
    fs::write(place.join("done"), "").unwrap();
    id()
}

mod other {
    /// One of the same name.
    #[shmkit_process::task(crate = shmkit_process)]
    pub(super) fn square(x: i64) -> i64 {
        -x * x
    }
}

/// A program of its own that serves, until it is killed.
#[task(crate = shmkit_process)]
fn serves(name: String) {
    let pool = pool(2);
    let _server = Server::builder(name).task(hold).task(square).start(&pool).unwrap();
    loop {
        thread::park();
    }
}

/// One that forks while it serves, or before it ceases to, and says whom.
#[task(crate = shmkit_process)]
fn serves_and_forks(name: String, place: PathBuf, ceases: bool) {
    let pool = pool(2);
    let mut server = Some(Server::builder(name).task(hold).start(&pool).unwrap());
    until(|| ceases || place.join("begun").exists());
    // SAFETY: the child makes system calls alone.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            // Should nobody kill it.
            alarm::set(60);
            loop {
                pause();
            }
        }
        ForkResult::Parent { child } => {
            server.take_if(|_| ceases);
            fs::write(place.join("new"), child.to_string()).unwrap();
            fs::rename(place.join("new"), place.join("child")).unwrap();
        }
    }
    loop {
        thread::park();
    }
}

/// What another user's process gets from a server of root's.
#[task(crate = shmkit_process)]
fn intrude(address: Vec<u8>) -> String {
    setuid(Uid::from_raw(65_534)).unwrap();
    let client = shmkit_connection::Client::new();
    let refused = client.connect(Address::abstract_name(address.clone()));
    let mut raw = client.any_user(true).connect(Address::abstract_name(address)).unwrap();
    let _ = raw.send_bytes(br#"{"call": 1, "task": "square", "args": [7]}"#);
    let heard = raw.recv_bytes().map(|bytes| String::from_utf8(bytes).unwrap());
    format!("{refused:?} {heard:?}")
}

/// Another user's process that takes a name first.
#[task(crate = shmkit_process)]
fn squat(address: Vec<u8>) {
    setuid(Uid::from_raw(65_534)).unwrap();
    let mut listener = Listener::bind(Address::abstract_name(address)).unwrap();
    loop {
        drop(listener.accept());
    }
}

#[track_caller]
fn until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LONG, "it never came to that");
        thread::sleep(Duration::from_millis(2));
    }
}

fn pool(workers: u32) -> Arc<Pool> {
    Arc::new(Pool::new(workers).unwrap())
}

/// A name of this process and of this test.
fn name(of: &str) -> String {
    format!("test-{of}-{}", id())
}

/// A server of everything here, and its client.
fn served(of: &str, pool: &Arc<Pool>) -> (Server, Client) {
    let name = name(of);
    let server = Server::builder(&name).task(nothing).task(square).task(cook).task(parse);
    let server =
        server.task(sevens).task(complains).task(panics).task(takes_a_descriptor).task(hold);
    let server = server.connections(3).max_len(1 << 16).start(pool).unwrap();
    (server, Client::new(name).unwrap().timeout(LONG))
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().to_owned();
    (place, path)
}

fn begun(place: &Path) -> u32 {
    until(|| place.join("begun").exists());
    fs::read_to_string(place.join("begun")).unwrap().parse().unwrap()
}

fn address(name: &str) -> Vec<u8> {
    format!("shmkit-call-{}-{name}", geteuid()).into()
}

/// A client that says what it likes, or nothing.
fn raw(name: &str) -> Connection {
    shmkit_connection::Client::new().connect(Address::abstract_name(address(name))).unwrap()
}

#[track_caller]
fn refused<T>(answer: Result<T, CallError>) -> (CallErrorKind, String) {
    match answer {
        Ok(_) => panic!("it was answered"),
        Err(error) => (error.kind(), error.to_string()),
    }
}

fn under_way(pool: &Pool, tasks: u32) -> bool {
    // It takes what has come.
    pool.completed();
    format!("{pool:?}").contains(&format!("under_way: {tasks},"))
}

#[test]
fn a_task_is_called_by_its_name_with_arguments_of_json() {
    let pool = pool(2);
    let (_server, client) = served("called", &pool);
    assert_eq!(client.call::<()>("nothing", &()).unwrap(), ());
    assert_eq!(client.call::<u64>("square", &[12]).unwrap(), 144);
    assert_eq!(client.call::<u64>("call::square", &(12,)).unwrap(), 144);
    assert_eq!(client.call::<String>("cook", &("soup", 3)).unwrap(), "3 of soup");
    assert_eq!(client.call::<String>("cook", &("soup", ())).unwrap(), "1 of soup");
    assert_eq!(client.call::<Vec<u8>>("sevens", &(3,)).unwrap(), [7, 7, 7]);
}

#[test]
fn only_what_the_program_names_can_be_called_and_is_listed() {
    let (pool, name) = (pool(1), name("named"));
    let server = Server::builder(&name).task(square).task(cook).task(square);
    let _server = server.start(&pool).unwrap();
    let client = Client::new(&name).unwrap().timeout(LONG);
    let tasks = client.tasks().unwrap();
    let tasks: Vec<_> = tasks.iter().map(|task| (&*task.name, &*task.signature)).collect();
    let expected =
        [("call::square", "fn(u64) -> u64"), ("call::cook", "fn(&str, Option<u32>) -> String")];
    assert_eq!(tasks, expected, "in the order in which they were named, each once");
    for unknown in ["nothing", "quare", "call", ""] {
        let (kind, message) = refused(client.call::<()>(unknown, &()));
        assert_eq!(kind, CallErrorKind::UnknownTask, "{message}");
        assert!(message.ends_with("but: call::square, call::cook"), "{message}");
    }
    let both = self::name("both");
    let _both = Server::builder(&both).task(square).task(other::square).start(&pool).unwrap();
    let client = Client::new(both).unwrap().timeout(LONG);
    let (kind, message) = refused(client.call::<i64>("square", &(3,)));
    assert_eq!(kind, CallErrorKind::UnknownTask);
    assert!(message.ends_with("call one of call::square, call::other::square"), "{message}");
    assert_eq!(client.call::<i64>("call::other::square", &(3,)).unwrap(), -9);
}

#[test]
fn wrong_arguments_are_refused_before_the_pool_hears_of_them() {
    let pool = pool(1);
    let (_server, client) = served("wrong", &pool);
    let (kind, message) = refused(client.call::<u64>("square", &("x",)));
    assert_eq!(kind, CallErrorKind::Arguments);
    let said = "task `call::square` is `fn(u64) -> u64`: argument 1: invalid type: string \"x\"";
    assert!(message.starts_with(said), "{message}");
    let (kind, message) = refused(client.call::<u64>("square", &(1, 2)));
    assert_eq!(kind, CallErrorKind::Arguments);
    assert!(message.ends_with("arguments expected: 1, found: 2"), "{message}");
    let (kind, message) = refused(client.call::<()>("takes_a_descriptor", &(0,)));
    assert_eq!(kind, CallErrorKind::Arguments, "{message}");
    assert_eq!(refused(client.call::<u64>("square", &7)).0, CallErrorKind::Arguments);
    assert_eq!(pool.completed(), 0);
}

#[test]
fn an_error_that_a_task_returns_is_the_call_s() {
    let pool = pool(1);
    let (_server, client) = served("error", &pool);
    assert_eq!(client.call::<u8>("parse", &("77",)).unwrap(), 77);
    let (kind, message) = refused(client.call::<u8>("parse", &("300",)));
    assert_eq!(
        (kind, &*message),
        (CallErrorKind::Failed, "number too large to fit in target type")
    );
    let (kind, message) = refused(client.call::<()>("panics", &()));
    assert_eq!(kind, CallErrorKind::NotAnswered);
    assert!(message.contains("there is no soup") && message.contains("main.rs:"), "{message}");
}

#[test]
fn a_worker_that_is_killed_costs_its_call_and_no_other() {
    let (pool, (_place, path)) = (pool(2), place());
    let (_server, client) = served("killed", &pool);
    thread::scope(|scope| {
        let call = scope.spawn(|| client.call::<u32>("hold", &(&path,)));
        let worker = begun(&path);
        kill(Pid::from_raw(worker.cast_signed()), Signal::SIGKILL).unwrap();
        let (kind, message) = refused(call.join().unwrap());
        assert_eq!(kind, CallErrorKind::NotAnswered);
        assert!(message.contains("SIGKILL") && message.contains(&worker.to_string()), "{message}");
    });
    assert_eq!(client.call::<u64>("square", &[12]).unwrap(), 144);
}

#[test]
fn whoever_calls_is_told_at_once_that_the_program_was_killed_and_the_name_is_free() {
    let (name, (_place, path)) = (name("program"), place());
    let program = Process::spawn(serves, (name.clone(),)).unwrap();
    let client = Client::new(&name).unwrap();
    until(|| client.tasks().is_ok());
    let error = refused(Server::builder(&name).task(square).start(&pool(1)));
    let pid = program.pid();
    assert_eq!(error.0, CallErrorKind::Taken);
    assert!(error.1.starts_with(&format!("process {pid} serves {name:?} already")), "{error:?}");
    thread::scope(|scope| {
        let call = scope.spawn(|| client.call::<u32>("hold", &(&path,)));
        begun(&path);
        program.kill().unwrap();
        let (kind, message) = refused(call.join().unwrap());
        assert_eq!(kind, CallErrorKind::Gone, "{message}");
        assert!(message.contains(&format!("process {pid}")), "{message}");
    });
    assert!(matches!(program.join(), Err(TaskError::WorkerDied(_))));
    assert_eq!(refused(client.tasks()).0, CallErrorKind::NotServed);
    let _server = Server::builder(&name).task(square).start(&pool(1)).unwrap();
    assert_eq!(client.call::<u64>("square", &[12]).unwrap(), 144);
}

#[test]
fn whoever_calls_is_told_of_a_killed_program_whose_forked_child_has_its_sockets() {
    let (name, (_place, path)) = (name("forked"), place());
    let program = Process::spawn(serves_and_forks, (name.clone(), path.clone(), false)).unwrap();
    // Without a limit of their own; the fault is met by the test's.
    let client = Client::new(&name).unwrap();
    let pid = program.pid();
    let gone = |call: thread::JoinHandle<Result<u32, CallError>>| {
        until(|| call.is_finished());
        let (kind, message) = refused(call.join().unwrap());
        assert_eq!(kind, CallErrorKind::Gone, "{message}");
        assert!(message.contains(&format!("process {pid}")), "{message}");
    };
    let call = || {
        let (client, path) = (client.clone(), path.clone());
        thread::spawn(move || client.call::<u32>("hold", &(path,)))
    };
    until(|| !matches!(client.tasks(), Err(error) if error.kind() == CallErrorKind::NotServed));
    let running = call();
    until(|| path.join("child").exists());
    let child: i32 = fs::read_to_string(path.join("child")).unwrap().parse().unwrap();
    program.kill().unwrap();
    gone(running);
    // One that comes now gets into the queue, which is the child's.
    gone(call());
    kill(Pid::from_raw(child), Signal::SIGKILL).unwrap();
    until(|| refused(client.tasks()).0 == CallErrorKind::NotServed);
}

#[test]
fn whoever_calls_a_server_that_was_dropped_is_refused_though_a_forked_child_has_its_socket() {
    let (name, (_place, path)) = (name("dropped"), place());
    let program = Process::spawn(serves_and_forks, (name.clone(), path.clone(), true)).unwrap();
    until(|| path.join("child").exists());
    let child: i32 = fs::read_to_string(path.join("child")).unwrap().parse().unwrap();
    let call = thread::spawn(move || Client::new(&name).unwrap().call::<u32>("hold", &(path,)));
    until(|| call.is_finished());
    assert_eq!(refused(call.join().unwrap()).0, CallErrorKind::NotServed);
    kill(Pid::from_raw(child), Signal::SIGKILL).unwrap();
    program.kill().unwrap();
}

#[test]
fn a_call_that_takes_too_long_is_called_off_or_its_worker_killed() {
    let (pool, (_place, path), (_other, second)) = (pool(1), place(), place());
    let (_server, client) = served("late", &pool);
    thread::scope(|scope| {
        let call = scope.spawn(|| client.call::<u32>("hold", &(&path,)));
        let worker = begun(&path);
        // The only worker is busy: this one does not begin.
        let hasty = client.clone().timeout(SHORT);
        assert_eq!(refused(hasty.call::<u32>("hold", &(&second,))).0, CallErrorKind::TimedOut);
        assert!(under_way(&pool, 1), "{pool:?}");
        fs::write(path.join("go"), "").unwrap();
        assert_eq!(call.join().unwrap().unwrap(), worker);
    });
    assert!(!second.join("begun").exists());
    // What the server says counts, too.
    let name = name("limit");
    let limited = Server::builder(&name).task(hold).timeout(SHORT).start(&pool).unwrap();
    let client = Client::new(name).unwrap();
    // On a busy machine it may be called off before it begins.
    until(|| {
        let answer = client.call::<u32>("hold", &(&second,));
        assert_eq!(refused(answer).0, CallErrorKind::TimedOut);
        second.join("begun").exists()
    });
    let worker = begun(&second);
    until(|| !pool.pids().contains(&worker) && under_way(&pool, 0));
    drop(limited);
}

#[test]
fn the_call_of_a_client_that_goes_away_is_called_off_unless_it_has_begun() {
    let (pool, (_place, path), (_other, second)) = (pool(1), place(), place());
    let (server, _client) = served("gone", &pool);
    let call = |place: &Path| {
        let mut client = raw(server.name());
        let ask = format!(r#"{{"call": 1, "task": "hold", "args": [{place:?}]}}"#);
        client.send_bytes(ask.as_bytes()).unwrap();
        client
    };
    let first = call(&path);
    begun(&path);
    let waiting = call(&second);
    until(|| under_way(&pool, 2));
    drop((first, waiting));
    until(|| under_way(&pool, 1));
    fs::write(path.join("go"), "").unwrap();
    // It had begun, and has gone on.
    until(|| path.join("done").exists() && under_way(&pool, 0));
    assert!(!second.join("begun").exists());
}

#[test]
fn a_closed_pool_and_a_dropped_server_say_so() {
    let (pool, (_place, path)) = (pool(1), place());
    let (server, client) = served("closed", &pool);
    thread::scope(|scope| {
        let call = scope.spawn(|| client.call::<u32>("hold", &(&path,)));
        begun(&path);
        let silent = raw(server.name());
        drop(server);
        drop(silent);
        let (kind, message) = refused(call.join().unwrap());
        assert_eq!(kind, CallErrorKind::Closed, "{message}");
    });
    assert_eq!(refused(client.tasks()).0, CallErrorKind::NotServed);
    fs::write(path.join("go"), "").unwrap();
    // What had begun has gone on.
    until(|| path.join("done").exists());
    let (_server, client) = served("closed", &pool);
    pool.close();
    let (kind, message) = refused(client.call::<u64>("square", &[12]));
    assert_eq!(kind, CallErrorKind::Closed);
    assert!(message.contains("the pool was closed"), "{message}");
}

#[test]
fn another_user_is_refused_on_both_sides() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can be two users");
        return;
    }
    let pool = pool(1);
    let (server, client) = served("user", &pool);
    let told = Process::spawn(intrude, (address(server.name()),)).unwrap().join().unwrap();
    // Root's server is trusted by the other one, and does not let in.
    assert!(told.starts_with("Ok(") && told.contains("#FAILURE#"), "{told}");
    assert_eq!(client.call::<u64>("square", &[12]).unwrap(), 144);
    assert_eq!(pool.completed(), 1);
    // And the other way round: it has taken a name of root's.
    let name = name("squat");
    let squatter = Process::spawn(squat, (address(&name),)).unwrap();
    let client = Client::new(&name).unwrap().timeout(LONG);
    until(|| refused(client.tasks()).0 != CallErrorKind::NotServed);
    let (kind, message) = refused(client.tasks());
    assert_eq!(kind, CallErrorKind::OtherUser);
    assert!(message.starts_with("user 65534 has taken the name"), "{message}");
    let (kind, message) = refused(Server::builder(&name).task(square).start(&pool));
    assert_eq!(kind, CallErrorKind::OtherUser, "{message}");
    squatter.kill().unwrap();
}

#[test]
fn names_that_no_server_can_have_are_refused() {
    for wrong in ["", "a\nb", &"x".repeat(81)] {
        assert_eq!(refused(Client::new(wrong)).0, CallErrorKind::Name);
        assert_eq!(refused(Server::builder(wrong).start(&pool(1))).0, CallErrorKind::Name);
    }
    let (kind, message) = refused(Client::new(name("nobody")).unwrap().tasks());
    assert_eq!(kind, CallErrorKind::NotServed);
    assert!(message.starts_with("no program of this user serves"), "{message}");
}

#[test]
fn python_calls_as_it_is_written() {
    let pool = pool(1);
    let (server, _client) = served("python", &pool);
    let script = "import sys\nfrom multiprocessing.connection import Client\n\
                  with Client('\\0' + sys.argv[1]) as server:\n    \
                  server.send_bytes(b'{\"call\": 1, \"task\": \"cook\", \"args\": [\"soup\", 3], \"timeout\": 20}')\n    \
                  print(server.recv_bytes())\n";
    let address = String::from_utf8(address(server.name())).unwrap();
    let Ok(output) = Command::new("python3").args(["-c", script, &address]).output() else {
        eprintln!("skipped: there is no Python");
        return;
    };
    let heard = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        heard.trim(),
        r#"b'{"returned":"3 of soup"}'"#,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
