//! What is run to catch a fault: a test, a model, or kill scenes.

use std::fmt;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;

use super::tree::Tree;

/// Longer than any check needs to pass, or what it checks to build, on a machine that others load.
pub(crate) const LIMIT: Duration = Duration::from_secs(600);

/// A check, as it is written in the list: `test ARGS…` (`cargo test`), `loom PACKAGE [FILTER…]` or
/// `kill SCENE…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub(crate) struct Check(String);

/// How a check ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Passed,
    /// The last words of what it printed, as far as they say what was wrong.
    Failed(String),
    /// Within so long.
    TimedOut(Duration),
    /// It was never run.
    Unbuilt(String),
}

impl Check {
    /// Builds and runs it in the copy, for so long at most; returns how long it ran, too.
    pub(crate) fn run(&self, tree: &Tree, limit: Duration) -> Result<(Outcome, Duration)> {
        let (kind, rest) = self.0.split_once(' ').context("a check is `test`, `loom` or `kill`")?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let ours = words.iter().position(|&word| word == "--").unwrap_or(words.len());
        let (cargo_words, test_words) = words.split_at(ours);
        let mut build = tree.cargo();
        let mut check = tree.cargo();
        match kind {
            "test" => {
                build.args(["test", "--no-run"]).args(cargo_words);
                check.arg("test").args(&words);
            }
            "loom" => {
                for command in [&mut build, &mut check] {
                    command.env("RUSTFLAGS", "--cfg loom").env("LOOM_MAX_PREEMPTIONS", "2");
                    tree.for_loom(command);
                }
                let (package, filter) = cargo_words.split_first().context("loom what?")?;
                let (_, target) = crate::LOOM
                    .into_iter()
                    .find(|(name, _)| name == package)
                    .with_context(|| format!("{package} has no models"))?;
                let args = ["test", "--release", "--package", package];
                build.args(args).args(target).arg("--no-run");
                check.args(args).args(target).arg("--").args(filter).args(test_words);
            }
            "kill" => {
                let args = ["--release", "--package", "shmkit-kill"];
                build.arg("build").args(args);
                check.arg("run").args(args).arg("--").args(&words);
            }
            other => bail!("`{other}` is no check: there are `test`, `loom` and `kill`"),
        }
        let (status, output) = within(LIMIT, &mut build)?;
        let unbuilt = |output| Ok((Outcome::Unbuilt(output), Duration::ZERO));
        match status {
            Some(status) if status.success() => {}
            Some(_) => return unbuilt(output),
            // On a machine that others load: the faults after this one are tried all the same.
            None => return unbuilt("error: the build did not end".to_owned()),
        }
        let began = Instant::now();
        let (status, output) = within(limit, &mut check)?;
        let took = began.elapsed();
        if status.is_some_and(|status| status.success()) {
            // A filter that fits nothing is no check.
            ensure!(kind == "kill" || ran(&output), "`{self}` runs no test:\n{output}");
        }
        let outcome = match status {
            None => Outcome::TimedOut(limit),
            Some(status) if status.success() => Outcome::Passed,
            Some(_) => Outcome::Failed(complaint(&output)),
        };
        Ok((outcome, took))
    }
}

/// Whether a test was run: a program that has no list of tests, and says of none, is one itself.
fn ran(output: &str) -> bool {
    let mut said = output.lines().filter_map(|line| line.strip_prefix("running ")).peekable();
    said.peek().is_none() || said.any(|rest| !rest.starts_with("0 "))
}

/// Finds the line that says what was wrong.
fn complaint(output: &str) -> String {
    let says = |line: &&str| {
        ["FAILED", "deadlock", "hung:", "torn:", "owner:", "leaked:", "signal: "]
            .iter()
            .any(|word| line.contains(word))
            && !line.starts_with("test result")
    };
    output.lines().find(says).unwrap_or("it failed").trim().chars().take(110).collect()
}

/// Runs a command to its end or to the limit; returns its status, if it ended, and what it printed.
fn within(limit: Duration, command: &mut Command) -> Result<(Option<ExitStatus>, String)> {
    let (mut reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
    let mut child = command.spawn().context("cannot start cargo")?;
    // The writers in `command` would keep the pipe open.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let collector = thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = reader.read_to_end(&mut bytes);
        read.map(|_| String::from_utf8_lossy(&bytes).into_owned())
    });
    let status = wait(&mut child, Instant::now() + limit)?;
    // What it left behind would keep the pipe open too, and memory.
    let _none_left = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
    if status.is_none() {
        child.wait()?;
    }
    let output = collector.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    Ok((status, output))
}

fn wait(child: &mut Child, end: Instant) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > end {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("it passed"),
            Self::Failed(complaint) => f.write_str(complaint),
            Self::TimedOut(limit) => write!(f, "it did not end within {} s", limit.as_secs()),
            Self::Unbuilt(output) => {
                let error = output.lines().find(|line| line.starts_with("error"));
                write!(f, "IT DOES NOT COMPILE: {}", error.unwrap_or("no error is told"))
            }
        }
    }
}
