//! A call of a manager, beside a bare round trip through a socket and beside Python's.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use anyhow::{Result, anyhow, ensure};
use shmkit::Manager;
use shmkit::manager::Counter;
use shmkit_benches::{Candidate, Group, time_processes};

use crate::python;

/// Calls of a sample.
const CALLS: u32 = 2000;

/// A class of the program's own, of which it calls a method.
const PYTHON: &str = r#"
import sys, time
from multiprocessing.managers import BaseManager

class Counter:
    def __init__(self):
        self.n = 0
    def add(self, n):
        self.n += n
        return self.n

class Managed(BaseManager):
    pass

Managed.register("Counter", Counter)

if __name__ == "__main__":
    with Managed() as manager:
        counter = manager.Counter()
        for line in sys.stdin:
            _, count = line.split()
            count = int(count)
            began = time.perf_counter_ns()
            for _ in range(count):
                counter.add(1)
            print(time.perf_counter_ns() - began, flush=True)
"#;

pub(crate) fn groups() -> Vec<Group<'static>> {
    let group = Group::new("manager, a call of a method", CALLS, called()).at_most(1.3, bare());
    let managed = python::candidate("Python's BaseManager", PYTHON, Vec::new(), "add");
    vec![python::beside(group, 1.0 / 3.0, managed)]
}

fn called() -> Candidate<'static> {
    let mut there: Option<(Manager, Counter)> = None;
    Candidate::new("Counter", move |calls| {
        let (_, counter) = match &mut there {
            Some(there) => there,
            none => {
                let manager = Manager::start()?;
                let counter = manager.counter(0)?;
                none.insert((manager, counter))
            }
        };
        let first = counter.get()?;
        let began = Instant::now();
        for call in 0..calls {
            let n = counter.add(1)?;
            ensure!(n == first + i64::from(call) + 1, "another answer: {n}");
        }
        Ok(began.elapsed())
    })
}

/// As many bytes there and back as a call has, and no more than that.
fn bare() -> Candidate<'static> {
    Candidate::new("bytes through a socket", |trips| {
        let (mut here, mut there) = UnixStream::pair()?;
        let failed = |error: std::io::Error| anyhow!("{error}");
        time_processes(
            move |start| -> Result<()> {
                let mut buffer = [0; 16];
                start.together();
                for _ in 0..trips {
                    there.read_exact(&mut buffer).map_err(failed)?;
                    there.write_all(&buffer[..8]).map_err(failed)?;
                }
                Ok(())
            },
            move |start| -> Result<()> {
                let mut buffer = [0; 8];
                start.together();
                for trip in 0..trips {
                    here.write_all(&[trip as u8; 16]).map_err(failed)?;
                    here.read_exact(&mut buffer).map_err(failed)?;
                    ensure!(buffer == [trip as u8; 8], "another answer");
                }
                Ok(())
            },
        )
    })
}
