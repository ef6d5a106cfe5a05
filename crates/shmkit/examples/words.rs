//! Words counted by several processes, one of which is killed, in a map that all of them change.
//!
//! `cargo run -p shmkit --example words`
//!
//! Each worker takes pages from a deque, counts their words in the map, and appends a line to a common log. One worker is killed
//! in the middle: what it had taken is lost, as in any queue that hands out its items; the map, the deque, the list and the
//! log are whole, and the others finish.

use std::error::Error;
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use shmkit::{
    CountingSemaphore, Objects, Options, ShmDeque, ShmMap, ShmSet, ShmString, ShmVec,
    join_all_at_fork,
};

const WORKERS: u32 = 3;
const PAGES: u32 = 6000;
/// How many pages a worker has counted when it is busy.
const BUSY: u32 = 100;
/// What stands on the pages, in turn.
const TEXTS: [&str; 3] = ["the cat sat on the mat", "the dog", "a cat and a dog"];
/// Bytes of each collection.
const BYTES: u64 = 1 << 20;

/// What all workers share.
struct Desk {
    pages: ShmDeque<u32>,
    counts: ShmMap<str, u64>,
    words: ShmSet<str>,
    done: ShmVec<u32>,
    log: ShmString,
    /// Each worker raises it when it has counted some pages, or found none.
    busy: CountingSemaphore,
}

fn main() -> Result<(), Box<dyn Error>> {
    join_all_at_fork(true)?;
    let segment = Options::new(6 * BYTES).anonymous()?;
    let desk = Desk {
        pages: segment.deque("pages", BYTES)?,
        counts: segment.map("counts", BYTES)?,
        words: segment.set("words", BYTES)?,
        done: segment.vec("done", BYTES)?,
        log: segment.string("log", BYTES)?,
        busy: segment.counting_semaphore("busy", 0)?,
    };
    desk.pages.extend(0..PAGES)?;
    let workers = (0..WORKERS).map(|who| start(who, &desk)).collect::<Result<Vec<_>, _>>()?;
    for _ in 0..WORKERS {
        desk.busy.acquire_timeout(Duration::from_secs(20))?;
    }
    // Wherever it may be.
    kill(workers[0], Signal::SIGKILL)?;
    for worker in &workers[1..] {
        if waitpid(*worker, None)? != WaitStatus::Exited(*worker, 0) {
            return Err("a worker failed".into());
        }
    }
    waitpid(workers[0], None)?;
    let mut done = desk.done.to_vec()?;
    let lines = desk.log.get()?.lines().filter(|line| line.starts_with("page ")).count();
    println!("pages left: {}", desk.pages.len());
    // The killed one has had one page, and may have died before any of the three was told.
    let lost = PAGES as usize - done.len();
    println!("pages lost with the killed worker: {}", if lost <= 1 { "at most 1" } else { "more" });
    println!("lines are whole: {}", lines.abs_diff(done.len()) <= 1);
    let the: u64 = done.iter().map(|page| text(*page).matches("the").count() as u64).sum();
    let counted = desk.counts.get("the")?.unwrap_or(0);
    println!("`the` was counted: {}", counted.abs_diff(the) <= 2);
    done.sort_unstable();
    done.dedup();
    println!("no page was counted twice: {}", done.len() + lost == PAGES as usize);
    let mut words = desk.words.iter().collect::<Result<Vec<_>, _>>()?;
    words.sort_unstable();
    println!("words: {}", words.join(" "));
    Ok(())
}

fn start(who: u32, desk: &Desk) -> Result<Pid, Box<dyn Error>> {
    // SAFETY: this process has one thread, so that the child finds everything as it is, and does what it likes.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let ended =
                set_pdeathsig(Signal::SIGKILL).map_err(Into::into).and_then(|()| work(who, desk));
            if let Err(error) = &ended {
                eprintln!("worker {who}: {error}");
            }
            std::process::exit(i32::from(ended.is_err()));
        }
    }
}

/// Counts pages until there are none.
fn work(who: u32, desk: &Desk) -> Result<(), Box<dyn Error>> {
    let mut pages = 0;
    while let Some(page) = desk.pages.pop_front()? {
        for word in text(page).split(' ') {
            desk.words.insert(word)?;
            desk.counts.entry(word)?.and_modify(|n| *n += 1)?.or_insert(1)?;
        }
        desk.log.push_str(&format!("page {page} by {who}\n"))?;
        desk.done.push(page)?;
        pages += 1;
        if pages == BUSY {
            desk.busy.release(1)?;
        }
    }
    if pages < BUSY {
        desk.busy.release(1)?;
    }
    Ok(())
}

fn text(page: u32) -> &'static str {
    TEXTS[page as usize % TEXTS.len()]
}
