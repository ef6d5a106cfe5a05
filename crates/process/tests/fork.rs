//! A program of one thread forks.

use shmkit_process::{Process, SpawnErrorKind, Status, TaskError, task};

#[task(crate = shmkit_process)]
fn square(x: u64) -> u64 {
    x * x
}

fn main() {
    shmkit_process::init();
    let captured = [3_u64, 4];
    for round in 0..3 {
        // SAFETY: this program has one thread, and what it has captured are numbers.
        let process =
            unsafe { Process::fork(|| (captured[1] + round, std::process::id())) }.unwrap();
        let pid = process.pid();
        assert_eq!(process.join().unwrap(), (4 + round, pid));
    }
    // SAFETY: as above.
    let exit =
        unsafe { Process::<()>::fork(|| std::process::exit(5)) }.unwrap().join().unwrap_err();
    assert!(
        matches!(&exit, TaskError::Exited(death) if death.status == Status::Exited(5)),
        "{exit}"
    );
    // SAFETY: as above.
    let panic =
        unsafe { Process::<()>::fork(|| panic!("in a child")) }.unwrap().join().unwrap_err();
    assert!(panic.to_string().contains("in a child"), "{panic}");
    // A forked process starts others as any does.
    // SAFETY: as above.
    let nested = unsafe { Process::fork(|| Process::spawn(square, (5,)).unwrap().join().unwrap()) };
    assert_eq!(nested.unwrap().join().unwrap(), 25);
    std::thread::scope(|scope| {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || ended.recv());
        // SAFETY: as above; and it is refused.
        let error = unsafe { Process::fork(|| ()) }.unwrap_err();
        assert_eq!(error.kind(), SpawnErrorKind::TooManyThreads);
        drop(end);
    });
}
