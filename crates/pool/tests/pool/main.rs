//! A pool of real processes, from a test binary.
#![cfg(not(loom))]

mod calls;
mod deaths;
mod executor;
mod forward;
mod life;
mod memory;
mod parts;
mod pending;
mod scale;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use shmkit_pool::{Builder, Pool};
use shmkit_process::{Failure, task};

shmkit_process::early!();

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);
/// A time to run out.
const SHORT: Duration = Duration::from_millis(100);

#[task(crate = shmkit_process)]
fn square(x: u64) -> u64 {
    x * x
}

#[task(crate = shmkit_process)]
fn power(x: u64, n: u32) -> u64 {
    x.pow(n)
}

#[task(crate = shmkit_process)]
fn worker_pid() -> u32 {
    std::process::id()
}

#[task(crate = shmkit_process)]
fn sleep(millis: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(millis));
    millis
}

#[task(crate = shmkit_process)]
fn parse(text: String) -> Result<u8, Failure> {
    Ok(text.parse()?)
}

#[task(crate = shmkit_process)]
fn length(bytes: Vec<u8>) -> usize {
    bytes.len()
}

#[task(crate = shmkit_process)]
fn sevens(n: usize) -> Vec<u8> {
    vec![7; n]
}

/// Ends its process in some way if the input says so, and returns it otherwise.
#[task(crate = shmkit_process)]
fn fate(n: u64, how: Fate) -> u64 {
    match how {
        Fate::Lives => n,
        Fate::Panics => panic!("because of {n}"),
        Fate::Exits(code) => std::process::exit(code),
        Fate::Aborts => std::process::abort(),
        Fate::IsKilled => {
            kill(std::process::id(), "KILL");
            n
        }
        Fate::OverflowsItsStack => deep(n),
        Fate::Hangs => loop {
            std::thread::sleep(Duration::from_secs(1));
        },
    }
}

#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
enum Fate {
    Lives,
    Panics,
    Exits(i32),
    Aborts,
    IsKilled,
    OverflowsItsStack,
    Hangs,
}

#[expect(unconditional_recursion, reason = "it is to overflow the stack")]
fn deep(n: u64) -> u64 {
    let room = std::hint::black_box([n; 512]);
    deep(n + 1) + room[7]
}

/// Appends a line to a file, and returns.
#[task(crate = shmkit_process)]
fn note(path: PathBuf, line: String) {
    append(&path, &line);
}

fn append(path: &std::path::Path, line: &str) {
    let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Notes that it has begun, and waits until a file is there.
#[task(crate = shmkit_process)]
fn wait_for(began: PathBuf, go: PathBuf) -> u32 {
    append(&began, &std::process::id().to_string());
    let start = Instant::now();
    while !go.exists() && start.elapsed() < LONG {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::process::id()
}

fn kill(pid: u32, signal: &str) {
    let done =
        std::process::Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status();
    assert!(done.unwrap().success());
}

fn pool(workers: u32) -> Pool {
    Pool::new(workers).unwrap()
}

fn build(builder: Builder) -> Pool {
    builder.build().unwrap()
}

/// Waits for a state, and fails if it does not come.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn lines(path: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(Into::into).collect()
}

fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
