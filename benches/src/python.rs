//! Peers that are programs of Python's, told what to do line by line.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use shmkit_benches::{Candidate, Group};

/// A Python program, and the manager below it. Both end when it is dropped: one at the end of its input, the other with that one.
pub(crate) struct Python {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Python {
    /// Starts one that reads lines, a word and a number, does so many of that, and prints how many nanoseconds it took.
    pub(crate) fn start(program: &str, args: &[String]) -> Result<Self> {
        let mut child = Command::new("python3")
            .args(["-c", program])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("python3 cannot be started")?;
        let answers = BufReader::new(child.stdout.take().context("its output is a pipe")?);
        Ok(Self { commands: child.stdin.take(), child, answers })
    }

    pub(crate) fn time(&mut self, word: &str, operations: u32) -> Result<Duration> {
        writeln!(self.commands.as_ref().context("it runs")?, "{word} {operations}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(Duration::from_nanos(line.trim().parse().context("the program has failed")?))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.commands.take());
        // It has ended, or is about to.
        let _ = self.child.wait();
    }
}

/// A peer of this program, which is started when it is first asked.
pub(crate) fn candidate(
    name: &'static str,
    program: &'static str,
    args: Vec<String>,
    word: &'static str,
) -> Candidate<'static> {
    let mut python = None;
    Candidate::new(name, move |operations| {
        let python = match &mut python {
            Some(python) => python,
            none => none.insert(Python::start(program, &args)?),
        };
        python.time(word, operations)
    })
}

/// The group with this peer, if there is a Python.
pub(crate) fn beside(
    group: Group<'static>,
    limit: f64,
    peer: Candidate<'static>,
) -> Group<'static> {
    if Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("LEFT OUT: {}: there is no python3 to compare with", group.name());
        return group;
    }
    group.at_most(limit, peer)
}
