//! Instructions of an uncontended lock and unlock, counted by callgrind: a figure that repeats exactly.

use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use anyhow::{Context, Result, anyhow, bail, ensure};
use comfy_table::{CellAlignment, Table, presets};
use shmkit::Objects;
use shmkit_segment::Options;

use crate::pthread::PthreadMutex;

/// The first argument of a run that is counted; then come the candidate and the number of rounds.
pub(crate) const COUNTED: &str = "--counted";
/// What is counted.
const CANDIDATES: [&str; 5] = [
    "compare-exchange + swap",
    "Mutex",
    "std::sync::Mutex",
    "glibc process-shared",
    "glibc robust",
];
/// The most that ours takes beyond the first.
const MORE: f64 = 16.0;
/// Rounds of the two runs whose difference is divided: what comes before and after cancels out.
const ROUNDS: [u32; 2] = [1_000, 11_000];

/// Counts all candidates and prints what came of it.
pub(crate) fn run() -> Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["uncontended lock + unlock", "instructions", "more than the first", "limit"]);
    let mut first = None;
    for name in CANDIDATES {
        let [few, many] = ROUNDS.map(|rounds| counted(name, rounds));
        let each = (many? - few?) / f64::from(ROUNDS[1] - ROUNDS[0]);
        let more = each - *first.get_or_insert(each);
        let limit = match name {
            "Mutex" if more <= MORE => format!("{MORE} more: kept"),
            "Mutex" => format!("{MORE} more: MISSED"),
            _ => String::new(),
        };
        table.add_row([name.to_owned(), format!("{each:.1}"), format!("{more:+.1}"), limit]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
    Ok(())
}

/// Returns how many instructions this program takes for so many rounds of a candidate.
fn counted(name: &str, rounds: u32) -> Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args([COUNTED, name, &rounds.to_string()])
        .output()
        .context("valgrind counts the instructions: install it")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind: {}\n{said}", output.status);
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let (_, number) = collected.with_context(|| format!("valgrind counted nothing:\n{said}"))?;
    Ok(number.trim().parse()?)
}

/// A run that is counted.
pub(crate) fn work(args: &[String]) -> Result<()> {
    let [name, rounds] = args else { bail!("a candidate and a number of rounds") };
    let rounds: u32 = rounds.parse()?;
    match name.as_str() {
        "compare-exchange + swap" => {
            let word = AtomicU32::new(0);
            for _ in 0..rounds {
                let word = black_box(&word);
                // Acquire and Release: what any lock needs at least.
                ensure!(word.compare_exchange(0, 1, Acquire, Relaxed).is_ok(), "the lock is held");
                word.swap(0, Release);
            }
        }
        "Mutex" => {
            let segment = Options::new(1 << 16).anonymous()?;
            let mutex = segment.mutex("mutex", 0_u64)?;
            for _ in 0..rounds {
                drop(black_box(&mutex).lock().map_err(|error| anyhow!("{error}"))?);
            }
        }
        "std::sync::Mutex" => {
            let mutex = std::sync::Mutex::new(0_u64);
            for _ in 0..rounds {
                drop(black_box(&mutex).lock().expect("nobody panics with this lock"));
            }
        }
        "glibc process-shared" | "glibc robust" => {
            let mutex = PthreadMutex::new(name == "glibc robust")?;
            for _ in 0..rounds {
                ensure!(black_box(&mutex).lock_and_unlock(), "pthread_mutex_lock or unlock failed");
            }
        }
        other => bail!("no candidate \"{other}\""),
    }
    Ok(())
}
