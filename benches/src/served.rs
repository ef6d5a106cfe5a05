//! A map in shared memory beside those that a process serves: Python's `Manager().dict()`, and Redis over a Unix socket.

use std::time::Instant;

use anyhow::Result;
use shmkit::{Objects, Options, Segment, ShmMap};
use shmkit_benches::{Candidate, Group};

use crate::map::{self, Key, Value, What};
use crate::python;
use crate::redis::{self, Redis};

/// Operations of a sample: one of the server's takes as long as some hundred of ours.
const OPERATIONS: u32 = 2000;

/// Fills a dictionary of a manager, and does with it what it is told to, line by line.
const SERVER: &str = r#"
import random, struct, sys, time
from multiprocessing import Manager

def key(n):
    return struct.pack("=QQ", n, n * 0x9e3779b97f4a7c15 & 0xffffffffffffffff)

if __name__ == "__main__":
    with Manager() as manager:
        entries = int(sys.argv[1])
        keys = [key(n) for n in range(entries)]
        served = manager.dict({k: bytes(64) for k in keys})
        value = bytes(64)
        for line in sys.stdin:
            what, count = line.split()
            order = random.choices(keys, k=int(count))
            began = time.perf_counter_ns()
            if what == "get":
                for k in order:
                    served[k]
            else:
                for k in order:
                    served[k] = value
            print(time.perf_counter_ns() - began, flush=True)
"#;

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    let group = |name, what| -> Result<_> {
        let word = match what {
            What::Get => "get",
            What::Insert => "insert",
        };
        let args = vec![map::ENTRIES.to_string()];
        let managed = python::candidate("Python's Manager().dict()", SERVER, args, word);
        let group = Group::new(name, OPERATIONS, ours(what)?);
        let group = python::beside(group, 1.0 / 200.0, managed);
        if redis::is_there() {
            return Ok(group.at_most(1.0 / 20.0, redis(what)));
        }
        eprintln!("LEFT OUT: {name}: there is no redis-server (Debian's redis-server)");
        Ok(group)
    };
    Ok(vec![
        group("get 64 bytes by 16, beside a server", What::Get)?,
        group("insert 64 bytes by 16, beside a server", What::Insert)?,
    ])
}

fn ours(what: What) -> Result<Candidate<'static>> {
    let segment: &Segment = Options::new(20 << 20).anonymous()?.leak();
    let all: ShmMap<Key, Value> = segment.map("served", 16 << 20)?;
    map::fill(&all)?;
    Ok(Candidate::new("ShmMap", move |operations| {
        // The other one runs for tens of milliseconds, and this for less than one, in the caches that the other has left: what is
        // compared is how long an operation takes, not the first one.
        map::work(&all, what, map::ENTRIES as u32, 3)?;
        let began = Instant::now();
        map::work(&all, what, operations, 1)?;
        Ok(began.elapsed())
    }))
}

fn redis(what: What) -> Candidate<'static> {
    let mut server = None;
    Candidate::new("Redis over a Unix socket", move |operations| {
        let server = match &mut server {
            Some(server) => server,
            none => none.insert(Redis::start()?),
        };
        let began = Instant::now();
        map::work(server, what, operations, 1)?;
        Ok(began.elapsed())
    })
}
