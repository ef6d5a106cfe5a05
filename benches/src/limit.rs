//! A limit for each sample: one that hangs does not hang the others.

use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// When the sample has begun that is being taken, in milliseconds since the first one, plus 1; 0 for none.
static BEGAN: AtomicU64 = AtomicU64::new(0);

fn now() -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    FIRST.get_or_init(Instant::now).elapsed().as_millis() as u64 + 1
}

/// Takes a sample under the limit.
pub(crate) fn limited<T>(sample: impl FnOnce() -> T) -> T {
    noted(&BEGAN, sample)
}

fn noted<T>(began: &AtomicU64, sample: impl FnOnce() -> T) -> T {
    began.store(now(), Relaxed);
    let taken = sample();
    began.store(0, Relaxed);
    taken
}

/// Starts a thread that kills this process's children when a sample takes longer: whoever waits for one of them is told so, and
/// the sample is an error. It is the process's second thread, too: glibc drops the lock prefix of private locks in a process with
/// one, which no user's process has.
pub(crate) fn watch(limit: Duration) {
    watch_over(&BEGAN, limit);
}

fn watch_over(began: &'static AtomicU64, limit: Duration) {
    thread::spawn(move || {
        loop {
            thread::park_timeout(Duration::from_secs(1));
            let began = began.load(Relaxed);
            if began != 0 && now().saturating_sub(began) > limit.as_millis() as u64 {
                for child in children() {
                    // One that has ended meanwhile is not there.
                    let _ = kill(child, Signal::SIGKILL);
                }
            }
        }
    });
}

/// Returns the processes that this one has started.
fn children() -> Vec<Pid> {
    let of = |task: std::io::Result<fs::DirEntry>| {
        let listed = fs::read_to_string(task.ok()?.path().join("children")).ok()?;
        Some(listed.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>())
    };
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    tasks.filter_map(of).flatten().map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn who_waits_for_a_child_for_too_long_is_told() {
        // Of its own: other tests take samples meanwhile.
        static BEGAN: AtomicU64 = AtomicU64::new(0);
        watch_over(&BEGAN, Duration::from_millis(10));
        let status = noted(&BEGAN, || Command::new("sleep").arg("60").status()).unwrap();
        assert!(!status.success());
    }
}
