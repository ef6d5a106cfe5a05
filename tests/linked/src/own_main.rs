//! A program with a `main` and arguments of its own, whose file is replaced, and then removed, while it runs.

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use shmkit::{Pool, Process, TaskError, task};

#[derive(Parser)]
struct Args {
    /// Has this program's file, a copy, be replaced and removed
    #[arg(long)]
    moves: Option<PathBuf>,
}

#[task]
fn square(number: u64) -> u64 {
    number * number
}

#[task]
fn panics(number: u64) -> u64 {
    panic!("because of {number}")
}

fn main() -> Result<(), Box<dyn Error>> {
    shmkit::init();
    let args = Args::parse();
    let all = || -> Result<(), Box<dyn Error>> {
        assert_eq!(Process::spawn(square, (7,))?.join()?, 49);
        let pool = Pool::new(2)?;
        assert_eq!(pool.map(square, 0..100)?.len(), 100);
        match pool.submit(panics, (3,)).wait() {
            Err(TaskError::Panicked { panic, .. }) => {
                assert!(panic.message.contains("because of 3"))
            }
            // Where the program aborts on panics.
            Err(TaskError::WorkerDied(death)) => assert_eq!(death.status.code(), Some(-6)),
            other => return Err(format!("{other:?}").into()),
        }
        assert_eq!(shmkit_linked::isolated(4)?, 8);
        Ok(())
    };
    all()?;
    if let Some(file) = args.moves {
        std::fs::rename(&file, file.with_extension("old"))?;
        std::fs::write(&file, "not a program")?;
        all()?;
        std::fs::remove_file(&file)?;
        std::fs::remove_file(file.with_extension("old"))?;
        all()?;
    }
    println!("ok");
    Ok(())
}
