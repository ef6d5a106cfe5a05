//! A worker that the kernel kills for want of memory, in a control group that has little.

use std::path::Path;

use shmkit_pool::{Pool, TaskError};
use shmkit_process::Status;

use super::*;

const MIB: usize = 1 << 20;
/// What the group may have.
const ROOM: usize = 16 * MIB;

/// A control group of little memory, as long as this lives.
struct Group(PathBuf);

impl Group {
    /// Makes one, of whichever version the system has.
    fn new() -> Result<Self, String> {
        let name = format!("shmkit-pool-test-{}", std::process::id());
        let root = Path::new("/sys/fs/cgroup");
        let (folder, limit) = match root.join("memory").is_dir() {
            true => (root.join("memory").join(name), "memory.limit_in_bytes"),
            false => (root.join(name), "memory.max"),
        };
        let text = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir(&folder).map_err(text)?;
        let group = Self(folder.clone());
        std::fs::write(folder.join(limit), ROOM.to_string()).map_err(text)?;
        // Or it would wait for room there, where that is.
        let _ = std::fs::write(folder.join("memory.swap.max"), "0");
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It is empty when its last process was reaped, or a moment later.
        until("the group is empty", || std::fs::remove_dir(&self.0).is_ok());
    }
}

/// Moves into the group, and takes so much.
#[task(crate = shmkit_process)]
fn eats(group: PathBuf, bytes: usize) -> u64 {
    std::fs::write(group.join("cgroup.procs"), std::process::id().to_string()).unwrap();
    let mut memory = vec![0_u8; bytes];
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    memory.iter().map(|&byte| u64::from(byte)).sum()
}

#[test]
fn a_worker_that_runs_out_of_memory_costs_its_own_call() {
    let group = match Group::new() {
        Ok(group) => group,
        Err(why) => {
            eprintln!(
                "NOT TESTED: what a worker without memory costs, for no control group can be made here: {why}"
            );
            return;
        }
    };
    let pool = pool(2);
    let calls = [MIB, 16 * ROOM, MIB];
    let answers = pool.chunked(eats, calls.map(|bytes| (group.0.clone(), bytes)), 3);
    let pages = (MIB / 4096) as u64;
    match &answers[..] {
        [Ok(first), Err(TaskError::WorkerDied(death)), Ok(last)] => {
            assert_eq!([*first, *last], [pages; 2]);
            assert_eq!(death.status, Status::Signalled(9), "{death}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.map(square, 0..20).unwrap().len(), 20);
    drop(pool);
    drop(group);
    assert_eq!(Pool::new(1).unwrap().submit(square, (3,)).wait().unwrap(), 9);
}
