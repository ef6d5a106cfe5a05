//! The tests of the binding are Python's: the wheel is built, put into an environment of its own, and tried there. The interpreter
//! is `SHMKIT_PYTHON`, or `python3`; where there is none from 3.11 on, nothing is tried, and `SHMKIT_PYTHON_REQUIRED` makes that an
//! error.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

fn interpreter() -> Option<OsString> {
    let python = std::env::var_os("SHMKIT_PYTHON").unwrap_or("python3".into());
    let wanted = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))";
    let found = Command::new(&python).args(["-c", wanted]).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    let text = "there is no Python from 3.11 on that has `venv`: `SHMKIT_PYTHON` names one";
    assert!(std::env::var_os("SHMKIT_PYTHON_REQUIRED").is_none(), "{text}");
    // Not `eprintln!`, which the harness keeps from who should read it.
    let _ = writeln!(std::io::stderr(), "NOTHING OF THE BINDING WAS TESTED: {text}");
    None
}

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file)
}

/// Neither takes a quarter of this.
const LIMIT: Duration = Duration::from_secs(900);

/// Waits for the end of a process; kills it if that does not come.
fn ended(mut child: Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begun.elapsed() > LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it did not end within {LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// One test: the environment is one, and the two would put the wheel there at a time.
#[test]
fn what_python_tests_passes_and_the_interpreters_own_tests_as_over_stock() {
    let Some(python) = interpreter() else { return };
    let run = |args: &[&str]| {
        let mut command = Command::new(&python);
        command.arg(here("environment.py")).args(args).current_dir(here(""));
        (ended(command.spawn().unwrap()), format!("{command:?}"))
    };
    let (status, command) = run(&["-m", "unittest", "discover"]);
    assert!(status.success(), "{command}: {status}");

    let (status, command) = run(&["compare.py", "--fast"]);
    let has_none = status.code() == Some(2); // It has said so.
    if !has_none || std::env::var_os("SHMKIT_PYTHON_REQUIRED").is_some() {
        assert!(status.success(), "{command}: {status}");
    }
}
