//! Messages: what rows of connections, descriptors, listeners and queues ask of several processes, beside the tests of each.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use shmkit::connection::Connection;
use shmkit::process::{Builder, Nursery};
use shmkit::{Descriptor, Event, Failure, New, NewPlain, Process, Queue, QueueError, task};

const LONG: Duration = Duration::from_secs(20);

#[task]
fn count_descriptors(come: Queue<u8>, go: Event) -> Result<usize, Failure> {
    // One after the other or all at once: all of them are here when the first one counts.
    come.put(0)?;
    go.wait_timeout(LONG)?;
    Ok(fs::read_dir("/proc/self/fd")?.count())
}

#[test]
fn fdp_09_a_child_has_no_descriptors_of_its_siblings() {
    let (come, go) = (Queue::<u8>::new(5_u64).unwrap(), Event::new().unwrap());
    // What this process has open is nobody else's either, and it is more each time.
    let mut open = Vec::new();
    let children: Vec<_> = (0..5)
        .map(|_| {
            open.push(tempfile::tempfile().unwrap());
            Process::spawn(count_descriptors, (come.clone(), go.clone())).unwrap()
        })
        .collect();
    for _ in &children {
        come.get_timeout(LONG).unwrap();
    }
    go.set().unwrap();
    let counts: Vec<usize> =
        children.into_iter().map(|mut child| child.join_timeout(LONG).unwrap().unwrap()).collect();
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
}

#[test]
fn pip_30_a_time_limit_of_the_socket_is_none_of_a_receive() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let limit = Duration::from_millis(20);
    ours.set_read_timeout(Some(limit)).unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut connection = Connection::from(ours);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(limit * 5);
            Connection::from(theirs).send_bytes(b"late").unwrap();
        });
        assert_eq!(connection.recv_bytes().unwrap(), b"late");
    });
}

#[task]
fn upper(line: Descriptor<UnixStream>) -> Result<usize, Failure> {
    let mut connection = Connection::from(line.into_inner());
    for served in 0.. {
        match connection.recv_bytes_timeout(LONG)? {
            end if end.is_empty() => return Ok(served),
            text => connection.send_bytes(&text.to_ascii_uppercase())?,
        }
    }
    unreachable!("it is told to end")
}

#[test]
fn pip_31_a_server_answers_until_it_is_told_to_end() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut server = Process::spawn(upper, (theirs.into(),)).unwrap();
    let mut connection = Connection::from(ours);
    for text in ["hello", "world"] {
        connection.send_bytes(text.as_bytes()).unwrap();
        let answer = connection.recv_bytes_timeout(LONG).unwrap();
        assert_eq!(answer, text.to_uppercase().as_bytes());
    }
    connection.send_bytes(b"").unwrap();
    assert_eq!(server.join_timeout(LONG).unwrap().unwrap(), 2);
}

/// The inodes of a process's sockets.
fn sockets(pid: u32) -> io::Result<Vec<String>> {
    let mut inodes = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let target = fs::read_link(entry?.path())?;
        let inode = target.to_str().and_then(|to| to.strip_prefix("socket:["));
        inodes.extend(inode.map(|inode| inode.trim_end_matches(']').to_owned()));
    }
    Ok(inodes)
}

/// AUT-13: CPython's fork server listens at an address, and so asks for a key. A nursery has a line to its parent, and no address.
#[test]
fn aut_13_a_nursery_is_told_what_to_do_by_its_parent_alone() {
    let nursery = Nursery::new().unwrap();
    // One that it closes meanwhile is not told of any more; the line to its parent is.
    let own = sockets(nursery.pid()).unwrap();
    let all = fs::read_to_string("/proc/net/unix").unwrap();
    let told: Vec<Vec<&str>> = all.lines().map(|line| line.split_whitespace().collect()).collect();
    // Address, references, protocol, flags, type, state, inode; and a path if it has a name.
    let is_own =
        |fields: &&Vec<&str>| fields.get(6).is_some_and(|inode| own.iter().any(|o| o == inode));
    let found: Vec<_> = told.iter().filter(is_own).collect();
    assert!(!found.is_empty());
    for fields in found {
        assert_eq!((fields.len(), fields[3]), (7, "00000000"), "a name, or it listens");
    }
    let process = Builder::new().nursery(&nursery).spawn(nothing, ()).unwrap();
    process.join().unwrap();
}

#[task]
fn nothing() {}

/// What a program does before its `main` has come far: a lock is held as long as a static is made.
static MADE: LazyLock<u64> = LazyLock::new(|| {
    let queue = Queue::<u64>::new(1_u64).unwrap();
    queue.put(7).unwrap();
    queue.get_timeout(Duration::from_secs(3)).unwrap()
});

#[test]
fn que_10_a_queue_works_while_a_static_is_made() {
    assert_eq!(*MADE, 7);
}

#[task]
fn without_input(queue: Queue<u64>) -> Result<String, Failure> {
    // SAFETY: this process does nothing with it after this.
    unsafe { libc::close(0) };
    let mut child = Builder::new().daemon(true).spawn(looks, (queue,))?;
    Ok(child.join_timeout(LONG)?)
}

#[task]
fn looks(queue: Queue<u64>) -> String {
    format!("{:?}", queue.try_get())
}

#[test]
fn que_19_a_daemon_of_a_child_without_input_uses_a_queue() {
    let queue = Queue::<u64>::new(1_u64).unwrap();
    let mut child = Process::spawn(without_input, (queue.clone(),)).unwrap();
    assert_eq!(child.join_timeout(LONG).unwrap().unwrap(), "Err(Empty)");
    assert_eq!(queue.try_get(), Err(QueueError::Empty));
}
