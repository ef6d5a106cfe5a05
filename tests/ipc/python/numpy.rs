//! NumPy in arrays of ours.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use nix::fcntl::{Flock, FlockArg};
use shmkit::cell::elements_at;
use shmkit::{Objects, Options, Segment};

use crate::support::python::{Python, interpreter, missing};
use crate::support::unique;

/// A Python of these tests' own that has NumPy, made the first time; `None`, said loudly, if it cannot be had.
fn with_numpy() -> Option<&'static OsString> {
    static MADE: OnceLock<Option<OsString>> = OnceLock::new();
    let python = interpreter()?;
    let made = MADE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
        fs::create_dir_all(&folder).unwrap();
        // Others may make it at this moment.
        let lock = File::create(folder.join("lock")).unwrap();
        let _lock = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
        let made = folder.join("bin/python");
        let has_numpy = |python: &Path| {
            let output = Command::new(python).args(["-c", "import numpy"]).output();
            output.is_ok_and(|output| output.status.success())
        };
        if !has_numpy(&made) {
            let run = |command: &mut Command| {
                command.output().is_ok_and(|output| output.status.success())
            };
            let _ = run(Command::new(python).args(["-m", "venv"]).arg(&folder))
                && run(Command::new(&made).args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "numpy>=1.24",
                ]));
        }
        has_numpy(&made).then(|| made.into())
    });
    if made.is_none() {
        missing(
            "there is no NumPy, and `pip install numpy` in an environment of the tests' own failed",
        );
    }
    made.as_ref()
}

/// What Python has to know of an array, from the segment's directory: file, byte, type, length.
fn known(segment: &Segment, name: &str) -> (String, u64, &'static str, u64) {
    let entries = segment.objects().unwrap();
    let entry = entries.iter().find(|entry| entry.name == name).unwrap();
    let path = segment.path().unwrap().to_str().unwrap().to_owned();
    let at = entry.offset + elements_at(&entry.shape).unwrap();
    (path, at, entry.shape.tag.dtype().unwrap(), entry.shape.len)
}

#[test]
fn numpy_reads_and_writes_an_array_in_place() {
    let Some(interpreter) = with_numpy() else { return };
    let mut python = Python::with(interpreter);
    let segment = Options::new(1 << 20).create(&unique("numpy")).unwrap();
    // Not at the beginning, and of every width.
    let prices = segment.array("prices", vec![1.5_f64, -2.5, f64::INFINITY]).unwrap();
    let bytes = segment.array("bytes", vec![1_u8, 2, 255]).unwrap();
    let small = segment.array("small", vec![-1_i16, 7]).unwrap();
    let atomics = segment.atomic_array::<u32>("atomics", 5).unwrap();
    python.run("import mmap, numpy");
    for name in ["prices", "bytes", "small", "atomics"] {
        let (path, at, dtype, len) = known(&segment, name);
        python.run(&format!("file = open({path:?}, 'r+b'); memory = mmap.mmap(file.fileno(), 0)"));
        python.run(&format!("{name} = numpy.ndarray(({len},), {dtype:?}, memory, {at})"));
    }
    python.expect("prices.tolist(), bytes.tolist()", "([1.5, -2.5, inf], [1, 2, 255])");
    python.expect("small.tolist(), atomics.tolist()", "([-1, 7], [0, 0, 0, 0, 0])");
    prices.set(0, 100.25).unwrap();
    atomics.at(4).unwrap().store(9);
    python.expect("float(prices[0]), int(atomics[4])", "(100.25, 9)");
    python.run("prices[1:] = [4, 5]; bytes += 1; small *= 2; atomics[0] = 2**32 - 1");
    assert_eq!(prices.to_vec().unwrap(), [100.25, 4.0, 5.0]);
    assert_eq!(bytes.to_vec().unwrap(), [2, 3, 0]);
    assert_eq!(small.to_vec().unwrap(), [-2, 14]);
    assert_eq!(atomics.to_vec()[0], u32::MAX);
    python.end();
}

#[test]
fn the_script_of_the_example_doubles_an_array() {
    let Some(interpreter) = with_numpy() else { return };
    let segment = Options::new(1 << 16).create(&unique("doubled")).unwrap();
    let array = segment.array("array", vec![1.5_f32, 2.5]).unwrap();
    let (path, at, dtype, len) = known(&segment, "array");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/shmkit/examples/numpy_array.py");
    let guard = array.lock().unwrap();
    let mut command = Command::new(interpreter);
    command.arg(script).args([&path, &at.to_string(), dtype, &len.to_string()]);
    let output = command.output().unwrap();
    drop(guard);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "the sum is 8.0\n");
    assert_eq!(array.to_vec().unwrap(), [3.0, 5.0]);
}
