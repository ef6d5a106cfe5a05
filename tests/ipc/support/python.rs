//! A Python interpreter at the other end.

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::process::Command;
use std::sync::OnceLock;

use super::Peer;

/// Which interpreter to use; without it `python3`.
const INTERPRETER: &str = "SHMKIT_PYTHON";
/// Set where a test that finds no Python is to fail.
const REQUIRED: &str = "SHMKIT_PYTHON_REQUIRED";

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/other_end.py");
/// The lines that keep Python from removing what it only opened, which users are given.
const UNTRACKED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/segment/python/untracked.py");

/// A Python that runs what it is told, line by line.
pub(crate) struct Python(Peer);

impl Python {
    /// Starts it, with `attach` of the file that users are given, and `SharedMemory` and `ShareableList`. `None`, said
    /// loudly, if there is none.
    #[track_caller]
    pub(crate) fn start() -> Option<Self> {
        interpreter().map(Self::with)
    }

    /// As [`start`](Self::start), by this interpreter.
    #[track_caller]
    pub(crate) fn with(interpreter: &OsString) -> Self {
        let mut command = Command::new(interpreter);
        // The tracker warns of what it removes.
        command.args(["-u", "-W", "ignore", SCRIPT]);
        let mut this = Self(Peer::program(command, "python", Command::spawn));
        this.run(&format!("exec(open({UNTRACKED:?}).read())"));
        this.run("from multiprocessing.shared_memory import ShareableList, SharedMemory");
        this
    }

    /// Runs statements of one line.
    #[track_caller]
    pub(crate) fn run(&mut self, line: &str) {
        // `exec` is an expression, and answers with its value.
        let answer = self.ask(line);
        assert!(answer == "done" || answer == "None", "Python: {line}: {answer}");
    }

    /// Returns what an expression is, or which exception it raises.
    #[track_caller]
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.0.say(line);
        self.0.hear()
    }

    /// Checks what an expression is.
    #[track_caller]
    pub(crate) fn expect(&mut self, line: &str, value: &str) {
        assert_eq!(self.ask(line), value, "Python: {line}");
    }

    /// Ends it as a crash would.
    #[track_caller]
    pub(crate) fn kill(self) {
        self.0.kill();
    }

    /// Lets it come to its end, which its resource tracker outlives by a moment.
    #[track_caller]
    pub(crate) fn end(mut self) {
        self.0.say("end");
        self.0.join();
    }
}

/// Returns the interpreter, if there is one of at least version 3.8.
pub(crate) fn interpreter() -> Option<&'static OsString> {
    static FOUND: OnceLock<Option<OsString>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let name = env::var_os(INTERPRETER).unwrap_or("python3".into());
        let import = "import multiprocessing.shared_memory";
        let tried = Command::new(&name).args(["-c", import]).output();
        tried.is_ok_and(|output| output.status.success()).then_some(name)
    });
    if found.is_none() {
        missing("there is no python3, from 3.8 on");
    }
    found.as_ref()
}

/// Says loudly that a test tests nothing.
#[track_caller]
pub(crate) fn missing(what: &str) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let text = format!("{test}: NOT TESTED: {what} (`{INTERPRETER}` names an interpreter)");
    assert!(env::var_os(REQUIRED).is_none(), "{text}");
    // Not by a macro, whose output a test that passes does not show.
    let _ = writeln!(std::io::stderr(), "{text}");
}
