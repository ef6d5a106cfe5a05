//! `shmkit watch`, in the foreground and in the background.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shmkit::tracker::{Kind, Tracker};
use shmkit::{Options, Segment};
use tempfile::TempDir;

use crate::support::{LIMIT, end};

fn directory() -> TempDir {
    tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap()
}

fn watch(directory: &TempDir, args: &[&str]) -> Command {
    let mut run = Command::new(env!("CARGO_BIN_EXE_shmkit"));
    run.arg("watch").args(args).arg("--directory").arg(directory.path());
    run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    run
}

/// Leaves a segment and a semaphore behind, as a killed process does.
fn leave_behind(directory: &Path) {
    // SAFETY: the child makes what it leaves, and ends; malloc works in it.
    let child = unsafe { nix::libc::fork() };
    if child == 0 {
        let tracker = Tracker::in_directory(directory).unwrap();
        fs::write(directory.join("sem.s"), "").unwrap();
        tracker.register(Kind::Semaphore, "s").unwrap();
        let _segment: Segment = Options::new(64).directory(directory).create("it").unwrap();
        // SAFETY: ends without destructors and exit handlers.
        unsafe { nix::libc::_exit(0) };
    }
    nix::sys::wait::waitpid(Pid::from_raw(child), None).unwrap();
}

#[test]
fn a_watcher_says_what_it_cleans_up_and_ends_quietly() {
    let directory = directory();
    let mut watcher = watch(&directory, &[]).spawn().unwrap();
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines();
    leave_behind(directory.path());
    let mut said = [lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap()];
    said.sort();
    assert_eq!(said, ["segment\tit\tremoved", "semaphore\ts\treleased"]);
    let other = end(watch(&directory, &[]).spawn().unwrap());
    assert_eq!((other.code, &*other.stderr), (Some(0), "shmkit: a watcher is at work already\n"));
    kill(Pid::from_raw(watcher.id().cast_signed()), Signal::SIGTERM).unwrap();
    let ended = end(watcher);
    assert_eq!((ended.code, &*ended.stderr), (Some(143), ""));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left");
}

#[test]
fn a_watcher_in_the_background_ends_when_there_is_nothing_to_watch() {
    let directory = directory();
    leave_behind(directory.path());
    let ended = end(watch(&directory, &["--detach"]).spawn().unwrap());
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (Some(0), "", ""));
    let began = Instant::now();
    while fs::read_dir(directory.path()).unwrap().count() > 0 {
        assert!(began.elapsed() < LIMIT, "it does not clean up");
        std::thread::sleep(Duration::from_millis(1));
    }
    let missing = tempfile::tempdir().unwrap().path().join("not");
    let mut run = Command::new(env!("CARGO_BIN_EXE_shmkit"));
    run.args(["watch", "--directory"]).arg(missing).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = end(run.spawn().unwrap());
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("cannot watch over"), "{}", ended.stderr);
}

#[test]
fn gc_says_and_releases_what_the_dead_had_registered() {
    let directory = directory();
    leave_behind(directory.path());
    let gc = |args: &[&str]| {
        let mut run = Command::new(env!("CARGO_BIN_EXE_shmkit"));
        run.arg("gc").args(args).arg("--directory").arg(directory.path());
        end(run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    };
    let dry = gc(&["--json"]);
    assert_eq!(dry.code, Some(6), "{}", dry.stderr);
    let what = serde_json::json!({"kind": "semaphore", "name": "s", "outcome": "removable"});
    assert_eq!(dry.json()["registered"], serde_json::json!([what]));
    assert!(directory.path().join("sem.s").exists());
    let done = gc(&["--yes"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stdout.contains("released"), "{}", done.stdout);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn gc_that_goes_on_removes_what_was_left_and_what_is_left_later() {
    let directory = directory();
    leave_behind(directory.path());
    let gc = |args: &[&str]| {
        let mut run = Command::new(env!("CARGO_BIN_EXE_shmkit"));
        run.arg("gc").args(args).arg("--directory").arg(directory.path());
        run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        run
    };
    let refused = end(gc(&["--watch"]).spawn().unwrap());
    assert_eq!(refused.code, Some(2), "without --yes: {}", refused.stderr);
    let mut watcher = gc(&["--yes", "--watch"]).spawn().unwrap();
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("removed ")), "what was left before");
    // Whoever makes a segment, as the register is one, sweeps a little, and says nothing of it.
    let began = Instant::now();
    while fs::read_dir(directory.path()).unwrap().count() == 0 {
        assert!(began.elapsed() < LIMIT, "it does not watch");
        std::thread::sleep(Duration::from_millis(1));
    }
    leave_behind(directory.path());
    let mut said = [lines.next().unwrap(), lines.next().unwrap()];
    said.sort();
    assert_eq!(said, ["segment\tit\tremoved", "semaphore\ts\treleased"]);
    kill(Pid::from_raw(watcher.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(end(watcher).code, Some(143));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left");
}
