//! A cache that the workers of a pre-fork server share: what one has computed, all find.
//!
//! `cargo run -p shmkit --example cache`
//!
//! The cache is smaller than what is asked for, so that entries which nobody asks for make room. One worker is killed while it
//! puts something in: the others go on, every answer is right, and no byte of the cache is lost.

use std::error::Error;
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use shmkit::{CountingSemaphore, MapSpec, Objects, Options, ShmMap, Value, join_all_at_fork};

const WORKERS: u64 = 4;
/// Requests of each worker.
const REQUESTS: u64 = 3000;
/// Different questions: more than there is room for answers.
const QUESTIONS: u64 = 4000;
/// Bytes of the cache.
const CACHE: u64 = 256 << 10;

/// What all workers share.
struct Server {
    cache: ShmMap<str, [u8]>,
    hits: Value<u64>,
    /// Each worker raises it at its thousandth request.
    warm: CountingSemaphore,
}

fn main() -> Result<(), Box<dyn Error>> {
    join_all_at_fork(true)?;
    let segment = Options::new(CACHE + (64 << 10)).anonymous()?;
    let server = Server {
        cache: segment.map("cache", MapSpec::bytes(CACHE).evicting())?,
        hits: segment.value("hits", 0)?,
        warm: segment.counting_semaphore("warm", 0)?,
    };
    let workers = (0..WORKERS).map(|who| start(who, &server)).collect::<Result<Vec<_>, _>>()?;
    // When all are busy, one is killed, wherever it may be.
    for _ in 0..WORKERS {
        server.warm.acquire_timeout(Duration::from_secs(20))?;
    }
    kill(workers[0], Signal::SIGKILL)?;
    let mut killed = 0;
    for worker in workers {
        match waitpid(worker, None)? {
            WaitStatus::Exited(_, 0) => {}
            WaitStatus::Signaled(_, Signal::SIGKILL, _) => killed += 1,
            ended => return Err(format!("a worker failed: {ended:?}").into()),
        }
    }
    let (cache, hits) = (&server.cache, server.hits.get()?);
    let wrong = cache.entries()?.into_iter().filter(|(key, value)| *value != answer(key)).count();
    let account = cache.check()?;
    println!("{killed} of {WORKERS} workers was killed");
    println!("answers were found: {}", hits > 0);
    println!("entries were evicted: {}", cache.len() < QUESTIONS);
    println!("wrong entries: {wrong}");
    println!("lost blocks: {}", account.kept_blocks - cache.len() + account.reserved_blocks);
    Ok(())
}

fn start(who: u64, server: &Server) -> Result<Pid, Box<dyn Error>> {
    // SAFETY: this process has one thread, so that the child finds everything as it is, and does what it likes.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let ended =
                set_pdeathsig(Signal::SIGKILL).map_err(Into::into).and_then(|()| work(who, server));
            if let Err(error) = &ended {
                eprintln!("worker {who}: {error}");
            }
            std::process::exit(i32::from(ended.is_err()));
        }
    }
}

/// Answers questions, of which some are asked more often. The first worker does not come to an end.
fn work(who: u64, server: &Server) -> Result<(), Box<dyn Error>> {
    let mut random = fastrand::Rng::with_seed(who);
    for request in 0.. {
        if request == REQUESTS / 3 {
            server.warm.release(1)?;
        }
        if request == REQUESTS && who != 0 {
            break;
        }
        let question = format!("question {}", random.u64(..QUESTIONS).min(random.u64(..QUESTIONS)));
        match server.cache.get(&question)? {
            Some(found) if found == answer(&question) => server.hits.update(|hits| *hits += 1)?,
            Some(_) => return Err(format!("{question}: a wrong answer").into()),
            None => drop(server.cache.insert(&question, &answer(&question))?),
        };
    }
    Ok(())
}

/// What takes long.
fn answer(question: &str) -> Vec<u8> {
    question.bytes().cycle().take(150).collect()
}
