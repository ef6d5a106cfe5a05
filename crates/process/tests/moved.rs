//! A program with a `main` of its own, whose file is removed or replaced while it runs, starts itself as before.

use std::process::Command;

use shmkit_process::{Process, SpawnErrorKind, task};

/// What becomes of the file.
const FATE: &str = "SHMKIT_TEST_FATE";

#[task(crate = shmkit_process)]
fn double(x: u64) -> u64 {
    2 * x
}

/// As if another version of the program had it.
mod other {
    #[shmkit_process::task(crate = shmkit_process, version = 2)]
    pub(crate) fn half(x: u64) -> u64 {
        x / 2
    }
}

fn main() {
    // Its command line is looked at after this.
    shmkit_process::init();
    let file = std::env::current_exe().unwrap();
    match std::env::var(FATE).as_deref() {
        Ok("removed") => std::fs::remove_file(&file).unwrap(),
        Ok("replaced") => {
            std::fs::rename(&file, file.with_extension("old")).unwrap();
            std::fs::write(&file, "#!/bin/false\n").unwrap();
        }
        _ => return start(&file),
    }
    assert_eq!(Process::spawn(double, (21,)).unwrap().join().unwrap(), 42);
}

fn start(file: &std::path::Path) {
    assert_eq!(Process::spawn(other::half, (8,)).unwrap().join().unwrap(), 4);
    let folder = tempfile::tempdir().unwrap();
    for fate in ["removed", "replaced"] {
        let copy = folder.path().join(fate);
        std::fs::copy(file, &copy).unwrap();
        let ended = Command::new(&copy).env(FATE, fate).status().unwrap();
        assert!(ended.success(), "{fate}: {ended}");
    }
    // A program without this task: another test of this crate would do, but need not be built.
    let nobody = shmkit_process::Builder::new().program("/bin/true").spawn(double, (1,)).unwrap();
    let error = nobody.join().unwrap_err();
    let shmkit_process::TaskError::NotStarted(error) = error else { panic!("{error}") };
    assert!(matches!(error.kind(), SpawnErrorKind::ExitedBeforeHello(_)), "{error}");
}
