//! What the tests of the command share: runs of it, and what they leave.

use std::fs;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// No tour here takes a tenth of this.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// The signal that killed it.
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The report, of a run with `--json`.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    /// The report of a run whose verdict is good.
    #[track_caller]
    pub(crate) fn good(&self) -> Value {
        let report = self.json();
        assert_eq!(
            (self.code, &report["ok"]),
            (Some(0), &true.into()),
            "{report:#}{}",
            self.stderr
        );
        assert_eq!(report["problems"].as_array().unwrap().len(), 0);
        for figure in ["bytes", "lines", "words", "histogram", "chunks"] {
            assert_eq!(report["agree"][figure], true);
            assert_eq!(report["parallel"][figure], report["single"][figure]);
        }
        assert_eq!(report["left"], serde_json::json!({"shm": [], "processes": []}));
        assert_eq!(report["permits"]["all_back"], true);
        assert_eq!(report["segment"]["was_named"], true);
        assert!(!Path::new(report["segment"]["path"].as_str().unwrap()).exists());
        report
    }
}

pub(crate) fn command(args: &[&str], paths: &[&Path]) -> Command {
    of(Path::new(env!("CARGO_BIN_EXE_shmkit")), args, paths)
}

pub(crate) fn of(program: &Path, args: &[&str], paths: &[&Path]) -> Command {
    let mut command = Command::new(program);
    command.arg("tour").args(args).args(paths).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits for the end of a tour; kills it if that does not come.
#[track_caller]
pub(crate) fn end(mut child: Child) -> Ended {
    fn read(from: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
        thread::spawn(move || {
            let mut text = String::new();
            if let Some(mut from) = from {
                from.read_to_string(&mut text).unwrap();
            }
            text
        })
    }
    let (stdout, stderr) = (read(child.stdout.take()), read(child.stderr.take()));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the tour did not end within {LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(2));
    };
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    Ended { code: status.code(), signal: status.signal(), stdout, stderr }
}

/// Starts a copy of the command. A program that another test starts just now may have the copy open for writing until it
/// executes.
#[track_caller]
pub(crate) fn patiently<T>(mut start: impl FnMut() -> io::Result<T>) -> T {
    let busy = |error: &io::Error| error.kind() == io::ErrorKind::ExecutableFileBusy;
    let mut tries = (0..1000).map(|_| {
        thread::sleep(Duration::from_millis(1));
        start()
    });
    let started = tries.find(|started| !started.as_ref().is_err_and(busy));
    started.expect("a second is enough").unwrap()
}

#[track_caller]
pub(crate) fn tour(args: &[&str], paths: &[&Path]) -> Ended {
    end(command(args, paths).spawn().unwrap())
}

/// Some text files in two folders, and how many lines and words there are.
pub(crate) fn tree() -> (TempDir, u64, u64) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("folder")).unwrap();
    let (mut lines, mut words) = (0, 0);
    for file in 0..40 {
        let mut text = String::new();
        for line in 0..file * 7 {
            text += &format!("line {line} of\tfile{file}  — words\n");
            (lines, words) = (lines + 1, words + 6);
        }
        let name = if file % 2 == 0 { format!("{file}.txt") } else { format!("folder/{file}") };
        fs::write(dir.path().join(name), text).unwrap();
    }
    (dir, lines, words)
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// More than is counted before anybody can look.
pub(crate) const BIG: usize = 2 << 20;
pub(crate) const BIG_LINE: &str = "some words\n";

/// Where the segment of a tour is.
pub(crate) fn segment(tour: &Child) -> PathBuf {
    PathBuf::from(format!("/dev/shm/shmkit.tour-{}", tour.id()))
}

/// The workers of a tour that have not ended, whoever their parent is by now.
pub(crate) fn workers(tour: u32) -> Vec<u32> {
    let is_worker = |pid: &u32| {
        let Ok(line) = fs::read_to_string(format!("/proc/{pid}/cmdline")) else { return false };
        let mut words = line.split('\0').skip(1);
        words.next().is_some_and(|task| task.starts_with("worker:"))
            && words.next().is_some_and(|name| name.starts_with(&format!("tour-{tour}-")))
    };
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(is_worker).collect()
}

/// Waits until something is so, or the tour has ended. Returns whether it is so.
#[track_caller]
pub(crate) fn until(child: &mut Child, is_so: impl Fn(&Child) -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if is_so(child) {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(begun.elapsed() < LIMIT, "it never came to that");
        thread::sleep(Duration::from_micros(100));
    }
}

/// The children of a process, those of all its threads.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let of_task =
        |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let pids = tasks.flatten().map(of_task).collect::<Vec<_>>().join(" ");
    pids.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}
