//! `shmkit export`: what a monitoring system reads.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shmkit::{Objects, Options};
use tempfile::TempDir;

use crate::support::end;

fn directory() -> TempDir {
    tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap()
}

fn shmkit(args: &[&str], directory: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shmkit"));
    command.arg("export").args(args).arg("--directory").arg(directory.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts it, and returns where it listens.
fn listens(listen: &str, directory: &TempDir) -> (Child, String) {
    let mut child = shmkit(&["--listen", listen], directory).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    let at = said.trim().strip_prefix("shmkit: listening on ").unwrap_or_else(|| panic!("{said}"));
    (child, at.to_owned())
}

fn get(mut stream: impl Read + Write, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn ended_by(child: Child, signal: Signal) -> Option<i32> {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
    end(child).code
}

#[test]
fn the_figures_are_printed_once() {
    let directory = directory();
    let segment = Options::new(1 << 20).directory(directory.path()).create("kitchen").unwrap();
    let doors = segment.semaphore("doors", 3).unwrap();
    let queue = segment.queue::<u32>("orders", 8).unwrap();
    queue.put(1).unwrap();
    let _permit = doors.acquire().unwrap();
    fs::write(directory.path().join("shmkit.other"), "somebody else's").unwrap();
    let ended = end(shmkit(&[], &directory).spawn().unwrap());
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    let lines: [&str; 8] = [
        "shmkit_segments{state=\"live\"} 1",
        "shmkit_segments{state=\"foreign\"} 1",
        &format!("shmkit_segment_bytes{{segment=\"kitchen\"}} {}", segment.header().size),
        "shmkit_participants{segment=\"kitchen\",state=\"living\"} 1",
        "shmkit_object_state{segment=\"kitchen\",object=\"doors\",kind=\"semaphore\",what=\"free_permits\"} 2",
        "shmkit_object_state{segment=\"kitchen\",object=\"orders\",kind=\"queue\",what=\"in_line_about\"} 1",
        "shmkit_object_named{segment=\"kitchen\",object=\"doors\",kind=\"semaphore\"} 1",
        "# EOF",
    ];
    for line in lines {
        assert!(ended.stdout.lines().any(|other| other == line), "{line}: {}", ended.stdout);
    }
}

#[test]
fn they_are_read_anew_for_every_request_on_a_loopback_address() {
    let directory = directory();
    let (child, at) = listens("127.0.0.1:0", &directory);
    let address = at.strip_prefix("http://").unwrap().strip_suffix("/metrics").unwrap().to_owned();
    let metrics = || get(TcpStream::connect(&address).unwrap(), "/metrics");
    let answer = metrics();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("openmetrics-text"), "{answer}");
    assert!(!answer.contains("kitchen"), "{answer}");
    let _segment = Options::new(1 << 16).directory(directory.path()).create("kitchen").unwrap();
    assert!(metrics().contains("segment=\"kitchen\""));
    let answer = get(TcpStream::connect(&address).unwrap(), "/");
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("/metrics"), "{answer}");
    assert_eq!(ended_by(child, Signal::SIGTERM), Some(143));
}

#[test]
fn a_unix_socket_is_gone_with_it_and_that_of_a_killed_one_is_no_obstacle() {
    let (directory, place) = (directory(), tempfile::tempdir().unwrap());
    let socket = place.path().join("figures.sock");
    let listen = socket.to_str().unwrap();
    let (mut child, _) = listens(listen, &directory);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(socket.exists(), "of the killed one");
    let (child, _) = listens(listen, &directory);
    let answer = get(UnixStream::connect(&socket).unwrap(), "/metrics");
    assert!(answer.contains("# EOF"), "{answer}");
    let second = end(shmkit(&["--listen", listen], &directory).spawn().unwrap());
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert_eq!(ended_by(child, Signal::SIGINT), Some(130));
    assert!(!socket.exists());
}

#[test]
fn it_listens_to_this_machine_alone() {
    let directory = directory();
    for (listen, why) in [("0.0.0.0:0", "can be reached from elsewhere"), ("metrics", "no path")] {
        let ended = end(shmkit(&["--listen", listen], &directory).spawn().unwrap());
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
    }
}
