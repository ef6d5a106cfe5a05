//! The tests of the binding are Python's: the wheel is built, put into an environment of its own, and tried there. The interpreter
//! is `SHMKIT_PYTHON`, or `python3`; where there is none from 3.11 on, nothing is tried, and `SHMKIT_PYTHON_REQUIRED` makes that an
//! error.

use std::ffi::OsString;
use std::fs::{self, File};
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
    // Not `eprintln!`, which the harness keeps to itself.
    let _ = writeln!(std::io::stderr(), "NOTHING OF THE BINDING WAS TESTED: {text}");
    None
}

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file)
}

/// Neither takes a quarter of this.
const LIMIT: Duration = Duration::from_secs(900);

/// Waits for the end of a process; kills it if that does not come.
fn ended(mut child: Child) -> Option<ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if begun.elapsed() > LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// One test: the environment is one, and the two would put the wheel there at a time.
#[test]
fn what_python_tests_passes_and_the_interpreters_own_tests_as_over_stock() {
    let Some(python) = interpreter() else { return };
    let run = |args: &[&str]| {
        let said = Path::new(env!("CARGO_TARGET_TMPDIR")).join("said");
        let file = File::create(&said).unwrap();
        let mut command = Command::new(&python);
        command.arg(here("environment.py")).args(args).current_dir(here(""));
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let status = ended(command.spawn().unwrap());
        let said = String::from_utf8_lossy(&fs::read(said).unwrap()).into_owned();
        (status, format!("{command:?} (limit {LIMIT:?}): {status:?}\n{said}"))
    };
    let (status, said) = run(&["-m", "unittest", "discover"]);
    assert!(status.is_some_and(|status| status.success()), "{said}");

    let (status, said) = run(&["compare.py", "--fast"]);
    let has_none = status.and_then(|status| status.code()) == Some(2);
    if has_none && std::env::var_os("SHMKIT_PYTHON_REQUIRED").is_none() {
        let _ = writeln!(std::io::stderr(), "{said}");
    } else {
        assert!(status.is_some_and(|status| status.success()), "{said}");
    }
}
