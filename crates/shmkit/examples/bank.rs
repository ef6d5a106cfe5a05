//! A bank: clerks move money between accounts, one of them is killed in the middle of a transfer, and the sum stays.
//!
//! Nobody repairs anything: whoever comes next finds the transfer undone.
//!
//! `cargo run -p shmkit --example bank`

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use shmkit::{Objects, Options, Segment, ShareSegment, ShmSafe, TransactionError, Transactional};

/// What belongs together.
#[derive(Clone, Copy, ShmSafe)]
#[repr(C)]
struct Bank {
    /// What is in each account.
    accounts: [i64; 16],
    /// How many transfers there were.
    transfers: u64,
}

const FIRST: Bank = Bank { accounts: [100; 16], transfers: 0 };
/// Bytes of the log: two accounts, a number, and the records' ends.
const LOG: u64 = 3 * 24;
const CLERKS: u64 = 3;
const TRANSFERS: u64 = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(role) = std::env::args().nth(1) {
        let segment = Segment::inherited("bank")?;
        let bank = segment.transactional::<Bank>("bank", FIRST, LOG)?;
        return match role.parse() {
            Ok(seed) => Ok(work(&bank, seed)?),
            Err(_) => Ok(stop_half_way(&bank)?),
        };
    }
    let segment = Options::new(1 << 16).anonymous()?;
    let bank = segment.transactional::<Bank>("bank", FIRST, LOG)?;

    let mut clerk = start(&segment, "half-way")?;
    let mut line = String::new();
    BufReader::new(clerk.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
    clerk.kill()?;
    clerk.wait()?;
    println!("a clerk was killed, who had {}", line.trim_end());

    let clerks: Result<Vec<_>, _> =
        (1..=CLERKS).map(|seed| start(&segment, &seed.to_string())).collect();
    for mut clerk in clerks? {
        let ended = clerk.wait()?;
        if !ended.success() {
            return Err(format!("a clerk failed: {ended}").into());
        }
    }
    let (sum, transfers) = bank.read(|bank| (bank.accounts.iter().sum::<i64>(), bank.transfers))?;
    println!("{transfers} transfers were made, and the sum is {sum}");
    Ok(())
}

/// Moves money from one account to another.
fn transfer(
    bank: &Transactional<Bank>,
    [from, to]: [usize; 2],
    n: i64,
    between: impl FnOnce(),
) -> Result<(), TransactionError> {
    bank.transaction(|bank| {
        *bank.change(|bank| &bank.accounts[from])? -= n;
        between();
        *bank.change(|bank| &bank.accounts[to])? += n;
        *bank.change(|bank| &bank.transfers)? += 1;
        Ok(())
    })
}

fn work(bank: &Transactional<Bank>, seed: u64) -> Result<(), TransactionError> {
    for n in 0..TRANSFERS {
        let from = (n * seed % 16) as usize;
        transfer(bank, [from, (from + 1 + n as usize % 15) % 16], 1, || ())?;
    }
    Ok(())
}

fn stop_half_way(bank: &Transactional<Bank>) -> Result<(), TransactionError> {
    transfer(bank, [0, 1], 50, || {
        println!("taken 50 and not given them");
        std::thread::sleep(std::time::Duration::from_secs(20));
    })
}

fn start(segment: &Segment, role: &str) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role).stdout(Stdio::piped());
    Ok(command.share_segment("bank", segment)?.spawn()?)
}
