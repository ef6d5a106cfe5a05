//! `shmkit call`: what scripts get from a pool, whoever is killed.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, id};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use shmkit::call::Server;
use shmkit::{Failure, Pool, Process, task};

use crate::support::{Ended, LIMIT, end};

#[task]
fn cook(dish: &str, plates: Option<u32>) -> String {
    format!("{} of {dish}", plates.unwrap_or(1))
}

#[task]
fn halve(number: i64) -> Result<i64, Failure> {
    match number % 2 {
        0 => Ok(number / 2),
        _ => Err(Failure::new(format!("{number} is odd"))),
    }
}

#[task]
fn fill(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// Says that it has begun, and by whom, and goes on when it may.
#[task]
fn hold(place: PathBuf) {
    fs::write(place.join("new"), id().to_string()).unwrap();
    fs::rename(place.join("new"), place.join("begun")).unwrap();
    until(|| place.join("go").exists());
}

/// A program that serves until it is killed.
#[task]
fn serves(name: String) {
    let _served = Kitchen::named(name);
    loop {
        thread::park();
    }
}

/// A pool of one worker whose tasks are called.
pub(crate) struct Kitchen {
    pub(crate) name: String,
    pool: Arc<Pool>,
    _server: Server,
}

impl Kitchen {
    /// By a name of this process and of this test.
    pub(crate) fn of(test: &str) -> Self {
        Self::named(format!("test-{test}-{}", id()))
    }

    fn named(name: String) -> Self {
        let pool = Arc::new(Pool::new(1).unwrap());
        let server = Server::builder(&name).task(cook).task(halve).task(fill).task(hold);
        let _server = server.start(&pool).unwrap();
        Self { name, pool, _server }
    }

    fn calls(&self, args: &[&str]) -> Ended {
        end(call(&self.name, args).spawn().unwrap())
    }

    fn under_way(&self, tasks: u32) -> bool {
        // It takes what has come.
        self.pool.completed();
        format!("{:?}", self.pool).contains(&format!("under_way: {tasks},"))
    }
}

fn call(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shmkit"));
    command.args(["call", name]).args(args).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[track_caller]
fn until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "it never came to that");
        thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Waits until a task has begun there, and returns its worker.
fn begun(place: &Path) -> Pid {
    until(|| place.join("begun").exists());
    Pid::from_raw(fs::read_to_string(place.join("begun")).unwrap().parse().unwrap())
}

#[track_caller]
fn printed(ended: &Ended) -> &str {
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    &ended.stdout
}

/// What is said of a call that has failed, which prints nothing.
#[track_caller]
fn complained(ended: &Ended) -> &str {
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{}", ended.stderr);
    ended.stderr.strip_prefix("shmkit: ").unwrap_or_else(|| panic!("{}", ended.stderr))
}

#[test]
fn a_script_gets_what_a_task_returns() {
    let kitchen = Kitchen::of("script");
    let script = r#"dish=$("$0" call "$1" cook soup 3) && half=$("$0" call "$1" halve -- -8) && echo "[$dish] [$half]""#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_shmkit"), &kitchen.name]).stdin(Stdio::null());
    let ended = end(shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    assert_eq!(printed(&ended), "[3 of soup] [-4]\n");
    // What is no JSON is a string, as is what is said to be one; a negative number is no option.
    assert_eq!(printed(&kitchen.calls(&["cook", r#""5""#, "null"])), "1 of 5\n");
    assert_eq!(printed(&kitchen.calls(&["command::call::halve", "-10"])), "-5\n");
    assert_eq!(printed(&kitchen.calls(&["cook", "soup", "3", "--json"])), "\"3 of soup\"\n");
}

#[test]
fn without_a_task_they_are_listed() {
    let kitchen = Kitchen::of("list");
    let ended = kitchen.calls(&[]);
    let lines: Vec<_> =
        printed(&ended).lines().map(|line| line.split_once("  ").unwrap()).collect();
    let lines: Vec<_> = lines.iter().map(|(task, signature)| (*task, signature.trim())).collect();
    assert_eq!(lines[0], ("task", "signature"));
    assert_eq!(lines[1], ("command::call::cook", "fn(&str, Option<u32>) -> String"));
    assert_eq!(lines[2], ("command::call::halve", "fn(i64) -> Result<i64, Failure>"));
    let listed = kitchen.calls(&["--json"]).json();
    assert_eq!(listed["name"], kitchen.name);
    let first =
        json!({"name": "command::call::cook", "signature": "fn(&str, Option<u32>) -> String"});
    assert_eq!(listed["tasks"][0], first);
}

#[test]
fn what_fails_says_why_and_ends_with_1() {
    let kitchen = Kitchen::of("fails");
    assert_eq!(complained(&kitchen.calls(&["halve", "7"])), "7 is odd\n");
    let unknown = kitchen.calls(&["burn"]);
    assert!(complained(&unknown).contains("has no task \"burn\", but: command::call::cook, "));
    let wrong = kitchen.calls(&["halve", "soup"]);
    let said = "task `command::call::halve` is `fn(i64) -> Result<i64, Failure>`: argument 1: ";
    assert!(complained(&wrong).starts_with(said), "{wrong:?}");
    let few = kitchen.calls(&["cook", "soup"]);
    assert!(complained(&few).ends_with("arguments expected: 2, found: 1\n"), "{few:?}");
    let nobody = end(call(&format!("nobody-{}", id()), &["cook"]).spawn().unwrap());
    assert!(complained(&nobody).starts_with("no program of this user serves"), "{nobody:?}");
    for usage in
        [&["cook", "--timeout", "soon"], &["cook", "--timeout", "-1"], &["cook", "--no", "1"]]
    {
        assert_eq!(kitchen.calls(usage).code, Some(2));
    }
}

#[test]
fn a_worker_that_is_killed_and_a_program_that_is_killed_are_told_of() {
    let name = format!("test-program-{}", id());
    let program = Process::spawn(serves, (name.clone(),)).unwrap();
    until(|| end(call(&name, &[]).spawn().unwrap()).code == Some(0));
    let place = tempfile::tempdir().unwrap();
    let held = call(&name, &["hold", place.path().to_str().unwrap()]).spawn().unwrap();
    let worker = begun(place.path());
    kill(worker, Signal::SIGKILL).unwrap();
    let ended = end(held);
    let said = complained(&ended);
    assert!(said.contains("SIGKILL") && said.contains(&worker.to_string()), "{said}");

    let place = tempfile::tempdir().unwrap();
    let held = call(&name, &["hold", place.path().to_str().unwrap()]).spawn().unwrap();
    begun(place.path());
    program.kill().unwrap();
    let ended = end(held);
    let said = format!("(process {}) has ended, or was killed, before it answered", program.pid());
    assert!(complained(&ended).contains(&said), "{ended:?}");
}

#[test]
fn a_call_ends_when_its_time_is_over_or_by_ctrl_c_and_is_called_off() {
    let kitchen = Kitchen::of("ends");
    let [first, second] = [0; 2].map(|_| tempfile::tempdir().unwrap());
    let held = call(&kitchen.name, &["hold", first.path().to_str().unwrap()]).spawn().unwrap();
    begun(first.path());
    // The only worker is busy.
    let late = kitchen.calls(&["hold", second.path().to_str().unwrap(), "--timeout", "0.05"]);
    assert!(complained(&late).contains("has not answered in time: it was called off"), "{late:?}");
    let waiting = call(&kitchen.name, &["hold", second.path().to_str().unwrap()]).spawn().unwrap();
    until(|| kitchen.under_way(2));
    kill(Pid::from_raw(waiting.id().cast_signed()), Signal::SIGINT).unwrap();
    let ended = end(waiting);
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (Some(130), "", ""));
    until(|| kitchen.under_way(1));
    fs::write(first.path().join("go"), "").unwrap();
    assert_eq!(printed(&end(held)), "null\n");
    assert!(!second.path().join("begun").exists());
}

#[test]
fn whoever_has_read_enough_of_an_answer_is_no_error() {
    let kitchen = Kitchen::of("enough");
    let mut run = call(&kitchen.name, &["fill", "500000"]).spawn().unwrap();
    let mut some = [0; 100];
    run.stdout.as_mut().unwrap().read_exact(&mut some).unwrap();
    assert_eq!(some, [b'x'; 100]);
    drop(run.stdout.take());
    let ended = end(run);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
}
