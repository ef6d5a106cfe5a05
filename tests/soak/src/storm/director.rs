//! Starts the processes, kills them, and looks at what is left.

use std::fmt;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;
use shmkit::tracker::Sweep;

/// How long a watcher may take for what is left at the end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is to be done.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) time: Duration,
    pub(crate) processes: usize,
    pub(crate) seed: u64,
    pub(crate) is_watched: bool,
}

/// What became of it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    seed: u64,
    started: u64,
    killed: u64,
    watchers_killed: u64,
    /// Most segments that were there at a time: a storm in which nothing happens proves nothing.
    most_segments: usize,
    /// Most semaphores that were there at a time.
    most_semaphores: usize,
    /// Segments left at the end.
    segments: usize,
    /// Semaphores left at the end.
    semaphores: usize,
    /// Other files left at the end.
    others: usize,
    zombies: usize,
    watchers: usize,
    /// What a process found missing that it had, or could not do.
    wrong: Vec<String>,
}

impl Report {
    pub(crate) fn is_good(&self) -> bool {
        self.segments + self.semaphores + self.others + self.zombies + self.watchers == 0
            && self.wrong.is_empty()
            && self.most_segments > 1
            && self.most_semaphores > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} processes started, {} killed; {} watchers killed (seed {})",
            self.started, self.killed, self.watchers_killed, self.seed
        )?;
        writeln!(
            f,
            "at a time: up to {} segments, {} semaphores",
            self.most_segments, self.most_semaphores
        )?;
        write!(
            f,
            "left: {} segments, {} semaphores, {} other files, {} zombies, {} watchers; {} wrong",
            self.segments,
            self.semaphores,
            self.others,
            self.zombies,
            self.watchers,
            self.wrong.len()
        )?;
        for wrong in self.wrong.iter().take(20) {
            write!(f, "\n  {wrong}")?;
        }
        Ok(())
    }
}

pub(crate) fn run(plan: &Plan) -> anyhow::Result<Report> {
    let folder = tempfile::Builder::new().prefix("shmkit-storm-").tempdir_in("/dev/shm")?;
    let folder = folder.path();
    let mut draw = fastrand::Rng::with_seed(plan.seed);
    let mut report = Report { seed: plan.seed, ..Report::default() };
    let mut workers = Vec::new();
    for _ in 0..plan.processes {
        workers.push(start(plan, folder, &mut draw)?);
        report.started += 1;
    }
    let end = Instant::now() + plan.time;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_micros(draw.u64(500..6000)));
        let at = draw.usize(0..workers.len());
        kill_one(&mut workers[at])?;
        report.killed += 1;
        // Those that have ended by themselves, too.
        for worker in &mut workers {
            if let Some(status) = worker.try_wait()? {
                if !status.success() && status.signal() != Some(Signal::SIGKILL as i32) {
                    report.wrong.push(format!("a process ended: {status}"));
                }
                *worker = start(plan, folder, &mut draw)?;
                report.started += 1;
            }
        }
        if report.killed.is_multiple_of(50) {
            let now = count(folder)?;
            report.most_segments = report.most_segments.max(now.segments);
            report.most_semaphores = report.most_semaphores.max(now.semaphores);
        }
        if plan.is_watched && draw.u32(0..40) == 0 {
            for watcher in watchers(folder) {
                report.watchers_killed += u64::from(kill(watcher, Signal::SIGKILL).is_ok());
            }
        }
    }
    draw.shuffle(&mut workers);
    for worker in &mut workers {
        kill_one(worker)?;
        report.killed += 1;
    }
    settle(plan, folder)?;
    look(folder, &mut report)?;
    Ok(report)
}

fn start(plan: &Plan, folder: &Path, draw: &mut fastrand::Rng) -> anyhow::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("worker").arg(folder).arg(draw.u64(..).to_string());
    command.arg(plan.is_watched.to_string());
    Ok(command.stdin(Stdio::null()).spawn()?)
}

fn kill_one(worker: &mut Child) -> anyhow::Result<()> {
    worker.kill()?;
    worker.wait()?;
    Ok(())
}

/// Lets whoever cleans up do so. A storm's last kill may have been that of the last process that could start a watcher:
/// then a sweep is the next visitor.
fn settle(plan: &Plan, folder: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while plan.is_watched && !watchers(folder).is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let report = Sweep::new().directory(folder).run()?;
    report.released?;
    Ok(())
}

fn look(folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let left = count(folder)?;
    report.wrong.extend(left.wrong);
    (report.segments, report.semaphores, report.others) =
        (left.segments, left.semaphores, left.others);
    report.zombies = children().filter(|&(_, state)| state == 'Z').count();
    report.watchers = watchers(folder).len();
    Ok(())
}

/// What there is in the folder.
#[derive(Default)]
struct Count {
    segments: usize,
    semaphores: usize,
    others: usize,
    wrong: Vec<String>,
}

fn count(folder: &Path) -> anyhow::Result<Count> {
    let mut count = Count::default();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("wrong-") {
            count.wrong.push(fs::read_to_string(&path)?);
        } else if name.starts_with("shmkit.") {
            count.segments += 1;
        } else if name.starts_with("sem.") {
            count.semaphores += 1;
        } else {
            count.others += 1;
        }
    }
    Ok(count)
}

/// The watchers over a folder: those who have it open.
fn watchers(folder: &Path) -> Vec<Pid> {
    let is_watcher = |pid: &Pid| {
        let comm = fs::read_to_string(format!("/proc/{pid}/comm"));
        comm.is_ok_and(|comm| comm == "shmkit-watch\n") && has_open(*pid, folder)
    };
    processes().filter(is_watcher).collect()
}

fn has_open(pid: Pid, folder: &Path) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.filter_map(|file| fs::read_link(file.ok()?.path()).ok()).any(|file| file == folder)
}

fn processes() -> impl Iterator<Item = Pid> {
    let all = fs::read_dir("/proc").into_iter().flatten();
    all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Pid::from_raw))
}

/// The children of this process, each with its state.
fn children() -> impl Iterator<Item = (Pid, char)> {
    let me = std::process::id().to_string();
    processes().filter_map(move |pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut rest = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = rest.next()?.chars().next()?;
        (rest.next()? == me).then_some((pid, state))
    })
}
