//! What the figures were taken on.

use std::process::Command;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

/// The machine, its kernel, the compiler and the commit.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    rustc: String,
    commit: String,
}

impl Machine {
    /// Asks this machine.
    pub(crate) fn this() -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        Self {
            cpu: model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: output("uname", &["-r"]),
            rustc: output("rustc", &["--version"]),
            commit: output("git", &["describe", "--always", "--dirty"]),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cpu, cores, kernel, rustc, commit } = self;
        write!(f, "{cpu}, {cores} cores, kernel {kernel}, {rustc}, commit {commit}")
    }
}

fn output(program: &str, args: &[&str]) -> String {
    match Command::new(program).args(args).output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}

/// Returns the nanoseconds that a cache line takes to another thread and back: the distance of two cores at this
/// moment, on which everything between two processes depends.
///
/// # Errors
///
/// If no thread can be started.
pub(crate) fn cache_line_round_trip() -> Result<f64> {
    const TRIPS: u32 = 2000;
    let line = AtomicU32::new(0);
    std::thread::scope(|scope| {
        std::thread::Builder::new().spawn_scoped(scope, || {
            for trip in 0..TRIPS {
                // Acquire and Release: pair with the other side's, each trip.
                while line.load(Acquire) != trip * 2 + 1 {
                    std::hint::spin_loop();
                }
                line.store(trip * 2 + 2, Release);
            }
        })?;
        let mut began = Instant::now();
        for trip in 0..TRIPS {
            if trip == TRIPS / 2 {
                began = Instant::now(); // The other thread runs by now.
            }
            line.store(trip * 2 + 1, Release);
            while line.load(Acquire) != trip * 2 + 2 {
                std::hint::spin_loop();
            }
        }
        Ok(began.elapsed().as_nanos() as f64 / f64::from(TRIPS - TRIPS / 2))
    })
}
