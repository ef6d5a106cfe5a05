//! A pre-fork server: a master that forks its workers before the requests come, all of which accept on one socket, and a
//! scoreboard in shared memory.
//!
//! `cargo run -p shmkit --example prefork`
//!
//! A worker is killed in the middle of a request, with the scoreboard's lock in its hands. The client sees its connection
//! end; the master forks another worker in its place; and whoever takes the lock next repairs the board. The others have
//! not noticed.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use shmkit::{Mutex, Objects, Options, ShmSafe, join_all_at_fork};

const WORKERS: usize = 3;
const REQUESTS: u64 = 100;
/// How long a client waits for an answer.
const LIMIT: Duration = Duration::from_secs(10);

/// Who has answered how much: `total` is the sum of `by`.
#[derive(Clone, Copy, Debug, Default, ShmSafe)]
#[repr(C)]
struct Board {
    total: u64,
    by: [u64; WORKERS],
    repairs: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    // Forked children take places of their own, before they do anything else: to give up their privileges, say.
    join_all_at_fork(true)?;
    let segment = Options::new(1 << 12).anonymous()?;
    let board = segment.mutex("board", Board::default())?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;

    let mut workers = Vec::new();
    for who in 0..WORKERS {
        workers.push(start(who, &listener, &board)?);
    }
    let mut killed = 0;
    for number in 0..REQUESTS {
        if number == REQUESTS / 2 {
            if ask(address, "die")?.is_some() {
                return Err("a worker that was killed has answered".into());
            }
            killed += 1;
            let died = waitpid(None, None)?;
            let WaitStatus::Signaled(pid, Signal::SIGKILL, _) = died else {
                return Err(format!("a worker ended: {died:?}").into());
            };
            let who = workers.iter().position(|worker| *worker == pid).ok_or("whose child?")?;
            workers[who] = start(who, &listener, &board)?;
        }
        let answer = ask(address, &number.to_string())?;
        if answer != Some(number * number) {
            return Err(format!("{number} squared: {answer:?}").into());
        }
    }
    for _ in 0..WORKERS {
        ask(address, "end")?;
    }
    for worker in workers {
        let ended = waitpid(worker, None)?;
        if ended != WaitStatus::Exited(worker, 0) {
            return Err(format!("a worker failed: {ended:?}").into());
        }
    }
    let Board { total, by, repairs } = *board.lock()?;
    println!("{total} requests answered by {WORKERS} workers");
    println!("{killed} was killed and replaced; the board was repaired {repairs} time(s)");
    if (total, by.iter().sum::<u64>(), repairs) != (REQUESTS, REQUESTS, killed) {
        return Err(format!("expected {REQUESTS} and {killed}: {:?}", *board.lock()?).into());
    }
    Ok(())
}

/// Forks a worker.
fn start(who: usize, listener: &TcpListener, board: &Mutex<Board>) -> Result<Pid, Box<dyn Error>> {
    // SAFETY: the master has one thread, so that the child finds everything as it is, and does what it likes.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let ended = set_pdeathsig(Signal::SIGKILL)
                .map_err(Into::into)
                .and_then(|()| work(who, listener, board));
            if let Err(error) = &ended {
                eprintln!("worker {who}: {error}");
            }
            std::process::exit(i32::from(ended.is_err()));
        }
    }
}

/// Answers, a connection at a time, until it is told to end.
fn work(who: usize, listener: &TcpListener, board: &Mutex<Board>) -> Result<(), Box<dyn Error>> {
    loop {
        let (mut client, _) = listener.accept()?;
        let mut request = String::new();
        BufReader::new(&client).read_line(&mut request)?;
        if request.trim() == "end" {
            return Ok(());
        }
        let mut board = board.lock_or_repair(|board| {
            board.total = board.by.iter().sum();
            board.repairs += 1;
        })?;
        if request.trim() == "die" {
            board.total += 1; // The half of it,
            raise(Signal::SIGKILL)?; // and dead.
        }
        let number: u64 = request.trim().parse()?;
        board.total += 1;
        board.by[who] += 1;
        drop(board);
        writeln!(client, "{}", number * number)?;
    }
}

/// Sends a request; the answer, if one comes.
fn ask(address: SocketAddr, request: &str) -> Result<Option<u64>, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    writeln!(stream, "{request}")?;
    let mut answer = String::new();
    // Reset, or at its end, if nobody is there any more.
    match BufReader::new(stream).read_line(&mut answer) {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some(answer.trim().parse()?)),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(None),
        Err(error) => Err(error.into()),
    }
}
