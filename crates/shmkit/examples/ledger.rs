//! Accounts in a manager's process, which others change: one of them is killed, and then the manager.
//!
//! `cargo run -p shmkit --features manager --example ledger`

use shmkit::manager::{Any, Dict};
use shmkit::{Failure, Manager, Process, manager, task};

/// What nobody but its manager has.
struct Ledger {
    total: i64,
}

#[manager]
impl Ledger {
    /// Opens one.
    pub fn new(opening: i64) -> Self {
        Self { total: opening }
    }

    /// Adds to it, alone, and returns the total.
    pub fn add(&mut self, n: i64) -> i64 {
        self.total += n;
        self.total
    }

    /// Returns the total, beside others who do.
    pub fn total(&self) -> i64 {
        self.total
    }
}

#[task]
fn clerk(ledger: LedgerProxy, seen: Dict<Any, Any>, name: &str) -> Result<(), Failure> {
    for _ in 0..100 {
        let total = ledger.add(1)?;
        seen.insert(name, total)?;
    }
    Ok(())
}

/// One that goes on until it is killed.
#[task]
fn idler(_ledger: LedgerProxy) {
    loop {
        std::thread::park();
    }
}

#[shmkit::main]
fn main() -> Result<(), Failure> {
    let manager = Manager::start()?;
    let ledger = LedgerProxy::new(&manager, 1000)?;
    let seen = manager.dict()?;
    seen.insert(1, "1")?;
    seen.insert(0.25, Any::Null)?;

    let clerks = ["ann", "bob", "cid"]
        .map(|name| Process::spawn(clerk, (ledger.clone(), seen.clone(), name.to_owned())));
    let idle = Process::spawn(idler, (ledger.clone(),))?;
    for process in clerks {
        process?.join()??;
    }
    idle.kill()?; // what it held is dropped with it
    println!("{} in the ledger, {} names, {}", ledger.total()?, seen.len()?, manager.objects()?);
    println!("seen: {}", seen.get(0.25)?.unwrap_or_default());

    manager.shutdown();
    println!("afterwards: {}", ledger.add(1).unwrap_err());
    Ok(())
}
