//! Memory that Python's `SharedMemory` has, too.

use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shmkit_segment::{ErrorKind, RawOptions, RawSegment};

use crate::support::python::{Python, interpreter};
use crate::support::{Peer, unique, wait_until};

fn raw() -> RawOptions {
    RawOptions::new().remove_on_drop(true)
}

#[test]
fn shm_02_python_reads_and_writes_what_is_made_here() {
    let Some(mut python) = Python::start() else { return };
    let made = raw().create_unique(10).unwrap();
    made.write(0, b"from Rust").unwrap();
    python.run(&format!("memory = attach({:?})", made.name()));
    python.expect("memory.size, bytes(memory.buf[:9])", "(10, b'from Rust')");
    python.run("memory.buf[9] = 42");
    let mut byte = [0];
    made.read(9, &mut byte).unwrap();
    assert_eq!(byte, [42]);
    // SHM-09: to Python it has gone as it has here.
    made.unlink().unwrap();
    python.expect("memory.buf[9]", "42");
    let again = python.ask(&format!("attach({:?})", made.name()));
    assert!(again.starts_with("FileNotFoundError"), "{again}");
    python.end();
}

#[test]
fn shm_02_what_python_made_is_read_and_written_here() {
    let Some(mut python) = Python::start() else { return };
    let name = unique("made-by-python");
    python.run(&format!("memory = SharedMemory({name:?}, create=True, size=5000)"));
    python.run("memory.buf[4990:5000] = b'out of one'");
    // SHM-03, SHM-06.
    let opened = RawSegment::open(&name).unwrap();
    assert_eq!(opened.len(), 5000);
    let mut bytes = [0; 10];
    opened.read(4990, &mut bytes).unwrap();
    assert_eq!(&bytes, b"out of one");
    assert_eq!(RawSegment::create(&name, 8).unwrap_err().kind(), ErrorKind::AlreadyExists);
    opened.write(0, b"there").unwrap();
    python.expect("bytes(memory.buf[:5])", "b'there'");
    drop(opened);

    let opened = RawSegment::open(&name).unwrap();
    python.run("memory.unlink()");
    assert!(!opened.is_linked());
    assert_eq!(RawSegment::open(&name).unwrap_err().kind(), ErrorKind::NotFound);
    // SHM-25: the same name, other memory.
    python.run(&format!("new = SharedMemory({name:?}, create=True, size=8)"));
    opened.write(0, b"where").unwrap();
    python.expect(
        "bytes(new.buf[:5]), bytes(memory.buf[:5])",
        r"(b'\x00\x00\x00\x00\x00', b'where')",
    );
    assert_eq!(opened.unlink().unwrap_err().kind(), ErrorKind::NotFound);
    python.run("new.unlink()");
    python.end();
}

#[test]
fn shm_16_what_python_leaves_behind_is_removed_by_its_tracker() {
    let Some(mut python) = Python::start() else { return };
    let name = unique("left-by-python");
    python.run(&format!("memory = SharedMemory({name:?}, create=True, size=8)"));
    let opened = RawSegment::open(&name).unwrap();
    let pid: i32 = python.ask("__import__('os').getpid()").parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    wait_until(|| !opened.is_linked());
}

/// What Python says to its tracker, byte for byte: of what it makes, and nothing of what it attaches by our lines.
#[test]
fn trk_15_pythons_tracker_hears_of_what_was_made_and_not_of_what_was_attached() {
    let Some(mut python) = Python::start() else { return };
    // Later ones may say it as JSON.
    if python.ask("__import__('sys').version_info < (3, 14)") != "True" {
        return python.end();
    }
    python.run("import os; from multiprocessing import resource_tracker");
    python.run("hears, says = os.pipe(); resource_tracker._resource_tracker._fd = says");
    let name = unique("told");
    python.run(&format!("memory = SharedMemory({name:?}, create=True, size=8)"));
    let registered = format!("b'PROBE:0:noop\\nREGISTER:/{name}:shared_memory\\n'");
    python.expect("os.read(hears, 4096)", &registered);
    python.run(&format!("other = attach({name:?})"));
    python.run("memory.unlink()");
    let unregistered = format!("b'PROBE:0:noop\\nUNREGISTER:/{name}:shared_memory\\n'");
    python.expect("os.read(hears, 4096)", &unregistered);
    // Or Python would wait for a tracker that it has not started.
    python.run("resource_tracker._resource_tracker._fd = None");
    python.end();
}

#[test]
fn shm_18_python_removes_what_it_only_opened_in_the_plain_way() {
    let Some(interpreter) = interpreter() else { return };
    let made = raw().create_unique(8).unwrap();
    let script = format!(
        "from multiprocessing.shared_memory import SharedMemory; SharedMemory({:?}).close()",
        made.name()
    );
    let output = Command::new(interpreter).args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    wait_until(|| !made.is_linked());
    assert!(String::from_utf8_lossy(&output.stderr).contains("leaked shared_memory"));
}

#[test]
fn shm_17_python_leaves_what_it_opened_with_care() {
    for is_killed in [false, true] {
        let Some(mut python) = Python::start() else { return };
        let (made, own) = (raw().create_unique(8).unwrap(), unique("tracked"));
        python.run(&format!("memory = attach({:?})", made.name()));
        // What its tracker removes in the end shows when that one has done all.
        python.run(&format!("own = SharedMemory({own:?}, create=True, size=8)"));
        let own = RawSegment::open(&own).unwrap();
        if is_killed {
            python.kill()
        } else {
            python.end()
        }
        wait_until(|| !own.is_linked());
        assert!(made.is_linked(), "killed: {is_killed}");
    }
}

#[test]
fn a_forked_child_that_drops_its_handle_removes_no_raw_segment() {
    let made = raw().create_unique(8).unwrap();
    let name = made.name().to_owned();
    let mut made = Some(made);
    Peer::fork("drop", |_| drop(made.take())).join();
    let made = made.unwrap();
    assert!(made.is_linked());
    drop(made);
    assert_eq!(RawSegment::open(&name).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn shm_19_names_with_colons_and_newlines_are_python_s_too() {
    let Some(mut python) = Python::start() else { return };
    for odd in ["a:b:", ":", "new\nline"] {
        let name = format!("{}{odd}", unique("odd"));
        let made = raw().create(&name, 8).unwrap();
        made.write(0, &[7]).unwrap();
        python.run(&format!("memory = attach({name:?})"));
        python.expect("memory.buf[0]", "7");
    }
    python.end();
}
