//! `shmkit send` and `shmkit recv`: what goes in comes out, whoever comes first, and whoever is killed.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::end;

fn directory() -> TempDir {
    tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap()
}

fn shmkit(command: &str, directory: &TempDir) -> Command {
    let mut run = Command::new(env!("CARGO_BIN_EXE_shmkit"));
    run.args([command, "backup", "--timeout", "60", "--directory"]).arg(directory.path());
    run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    run
}

/// More than several rings, and no two pieces of it are the same.
fn bytes() -> Vec<u8> {
    (0..900_000_u64).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_ne_bytes()).collect()
}

fn sends(directory: &TempDir, file: &TempDir) -> Command {
    let path = file.path().join("bytes");
    fs::write(&path, bytes()).unwrap();
    let mut send = shmkit("send", directory);
    send.stdin(fs::File::open(path).unwrap());
    send
}

#[track_caller]
fn receives(mut recv: Child) {
    let mut out = Vec::new();
    recv.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    let ended = end(recv);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    assert!(out == bytes(), "{} bytes came", out.len());
}

#[test]
fn what_is_sent_is_received_whoever_comes_first() {
    let (directory, file) = (directory(), tempfile::tempdir().unwrap());
    for receiver_first in [false, true] {
        let mut send = sends(&directory, &file);
        let (send, recv) = if receiver_first {
            let recv = shmkit("recv", &directory).spawn().unwrap();
            (send.spawn().unwrap(), recv)
        } else {
            let send = send.spawn().unwrap();
            (send, shmkit("recv", &directory).spawn().unwrap())
        };
        receives(recv);
        let sent = end(send);
        assert_eq!((sent.code, &*sent.stderr), (Some(0), ""));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left");
    }
}

#[test]
fn a_stream_that_was_cut_short_is_not_taken_for_a_whole_one() {
    let directory = directory();
    let mut send = shmkit("send", &directory);
    let mut send = send.stdin(Stdio::piped()).spawn().unwrap();
    let mut recv = shmkit("recv", &directory).spawn().unwrap();
    send.stdin.as_mut().unwrap().write_all(b"the first line\n").unwrap();
    let mut first = [0; 15];
    recv.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"the first line\n");
    send.kill().unwrap();
    send.wait().unwrap();
    let ended = end(recv);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("the stream was cut short"), "{}", ended.stderr);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left");
}

#[test]
fn a_sender_is_told_that_its_receiver_is_gone() {
    let (directory, file) = (directory(), tempfile::tempdir().unwrap());
    let send = sends(&directory, &file).spawn().unwrap();
    let mut recv = shmkit("recv", &directory).spawn().unwrap();
    let mut some = [0; 4096];
    recv.stdout.as_mut().unwrap().read_exact(&mut some).unwrap();
    recv.kill().unwrap();
    recv.wait().unwrap();
    let ended = end(send);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("the receiver is gone"), "{}", ended.stderr);
}

#[test]
fn nobody_waits_for_longer_than_was_said() {
    let directory = directory();
    for command in ["send", "recv"] {
        let mut run = Command::new(env!("CARGO_BIN_EXE_shmkit"));
        run.args([command, "backup", "--timeout", "0.02", "--directory"]).arg(directory.path());
        let run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
        let ended = end(run.spawn().unwrap());
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains("nobody is at the other end of backup"), "{}", ended.stderr);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left");
    }
}
