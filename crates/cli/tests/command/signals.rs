//! A signal ends the command at any moment, with a shell's status, and nothing is left.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::{BIG, BIG_LINE, Ended, children, command, end, segment, until, workers};

/// More than is counted before a signal comes.
fn big() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("big"), BIG_LINE.repeat(4 * BIG)).unwrap();
    dir
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
}

/// Ends a tour that was sent a signal, and looks at what it left.
#[track_caller]
fn nothing_left(child: Child) -> Ended {
    let (pid, segment) = (child.id(), segment(&child));
    let ended = end(child);
    assert!(!segment.exists(), "{} is left: {ended:?}", segment.display());
    assert_eq!(workers(pid), [0; 0], "workers are left: {ended:?}");
    ended
}

#[test]
fn ctrl_c_at_any_delay_leaves_nothing() {
    let dir = big();
    for millis in (0..60).step_by(4) {
        let child = command(&[], &[dir.path()]).spawn().unwrap();
        thread::sleep(Duration::from_millis(millis));
        signal(&child, Signal::SIGINT);
        let ended = nothing_left(child);
        // Killed by it, if that was before the first line of `main`.
        let by_kernel = ended.signal == Some(Signal::SIGINT as i32) && ended.stdout.is_empty();
        assert!(ended.code == Some(130) || by_kernel, "after {millis} ms: {ended:?}");
        assert_eq!(ended.stderr, "", "after {millis} ms");
    }
}

#[test]
fn each_signal_in_each_state_leaves_nothing_and_says_which_it_was() {
    let dir = big();
    let says_how_much = |child: &Child| {
        // Blocked in a process that hears them: SIGINT is bit 1.
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        blocked.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() >> 1 & 1 == 1)
    };
    let has_segment = |child: &Child| segment(child).exists();
    let has_workers = |child: &Child| children(child.id()).len() == 2;
    let states: [&dyn Fn(&Child) -> bool; 3] = [&says_how_much, &has_segment, &has_workers];
    for (sent, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        for state in states {
            for args in [&["-w", "2"][..], &["-w", "2", "--no-kill"]] {
                // On a busy machine one may end before anybody has looked.
                let reached = (0..10).find_map(|_| {
                    let mut child = command(args, &[dir.path()]).spawn().unwrap();
                    if until(&mut child, state) {
                        return Some(child);
                    }
                    assert_eq!(nothing_left(child).code, Some(0));
                    None
                });
                let child = reached.expect("each ended too soon");
                signal(&child, sent);
                let ended = nothing_left(child);
                assert_eq!((ended.code, &*ended.stderr), (Some(code), ""), "{sent}");
            }
        }
    }
}

/// `nohup`: who starts us with a signal ignored wants it ignored.
#[test]
fn an_ignored_signal_stays_ignored() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), BIG_LINE.repeat(BIG)).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" tour -w 2 \"$1\""]);
    shell.arg(env!("CARGO_BIN_EXE_shmkit")).arg(dir.path());
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    assert!(until(&mut child, |child| segment(child).exists()));
    signal(&child, Signal::SIGHUP);
    let ended = nothing_left(child);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// A reader that has seen enough is none of our troubles; a full disk is one, and is said.
#[test]
fn output_that_cannot_be_written_is_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "some text").unwrap();
    let run = |stdout: Stdio, stderr: Stdio| {
        let mut command = command(&["-w", "1"], &[dir.path()]);
        nothing_left(command.stdout(stdout).stderr(stderr).spawn().unwrap())
    };
    let full = || Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = run(writer.into(), Stdio::piped());
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    let ended = run(full(), Stdio::piped());
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("cannot write to standard output: No space"), "{ended:?}");
    assert_eq!(run(full(), full()).code, Some(1));
    let mut command = command(&[], &[Path::new("/no/such/file")]);
    assert_eq!(end(command.stderr(full()).spawn().unwrap()).code, Some(1));
}
