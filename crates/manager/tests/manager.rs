//! One process and its manager.

#![expect(missing_docs, reason = "what a manager serves is public, and nobody reads this")]

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use shmkit_manager::{Any, CallError, Dict, List, Manager, Remote, manager};
use shmkit_process::{Process, task};

shmkit_process::early!();

const LONG: Duration = Duration::from_secs(20);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Refused {
    TooMuch(i64),
}

#[track_caller]
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "it does not come to be");
        std::thread::sleep(Duration::from_millis(1));
    }
}

struct Ledger {
    total: i64,
    entries: Vec<i64>,
    itself: Option<LedgerProxy>,
}

#[manager(crate = shmkit_manager)]
impl Ledger {
    /// Opens one.
    pub fn new(opening: i64) -> Self {
        Self { total: opening, entries: vec![], itself: None }
    }

    pub fn checked(opening: i64) -> Result<Self, Refused> {
        if opening > 100 { Err(Refused::TooMuch(opening)) } else { Ok(Self::new(opening)) }
    }

    /// Adds, and returns the total.
    pub fn add(&mut self, n: i64) -> i64 {
        self.total += n;
        self.entries.push(n);
        self.total
    }

    pub fn take(&mut self, n: i64, why: &str) -> Result<i64, Refused> {
        if n > self.total || why.is_empty() {
            return Err(Refused::TooMuch(n));
        }
        Ok(self.add(-n))
    }

    pub fn total(&self) -> i64 {
        self.total
    }

    pub fn spoil(&mut self) {
        self.total = -1;
        panic!("the ledger burns");
    }

    pub fn copy_to(&self, list: List<i64>) -> Result<(), String> {
        list.extend(self.entries.iter().copied()).map_err(|error| error.to_string())
    }

    pub fn keep(&mut self, itself: LedgerProxy) {
        self.itself = Some(itself);
    }

    /// By the other one, and by this one itself, which would wait for ever.
    pub fn both(&mut self, other: LedgerProxy) -> (i64, bool) {
        let mine = self
            .itself
            .as_ref()
            .is_some_and(|itself| matches!(itself.total(), Err(CallError::Recursive { .. })));
        (other.total().unwrap_or(-1), mine)
    }

    #[expect(dead_code, reason = "nobody can call it from elsewhere")]
    fn hidden(&self) -> i64 {
        self.total
    }
}

#[test]
fn a_type_of_the_programs_own_is_called_by_its_proxy() {
    let manager = Manager::start().unwrap();
    let ledger = LedgerProxy::new(&manager, 5).unwrap();
    assert_eq!((ledger.add(7).unwrap(), ledger.total().unwrap()), (12, 12));
    assert_eq!(ledger.take(20, "rent").unwrap(), Err(Refused::TooMuch(20)));
    assert_eq!(ledger.take(2, "rent").unwrap(), Ok(10));
    assert_eq!(LedgerProxy::checked(&manager, 101).unwrap().unwrap_err(), Refused::TooMuch(101));
    assert_eq!(LedgerProxy::checked(&manager, 1).unwrap().unwrap().total().unwrap(), 1);
    let error = ledger.spoil().unwrap_err();
    assert!(
        matches!(&error, CallError::Panicked { method, panic }
        if method == "Ledger::spoil" && panic.message == "the ledger burns"),
        "{error}"
    );
    assert_eq!(ledger.total().unwrap(), -1, "as the panic left it, and the manager goes on");
    let list = manager.list::<i64>([]).unwrap();
    ledger.copy_to(list.clone()).unwrap().unwrap();
    assert_eq!(list.to_vec().unwrap(), [7, -2]);
    let status = manager.shutdown().unwrap();
    assert!(status.is_success(), "{status:?}");
    let error = ledger.total().unwrap_err();
    assert!(error.is_gone(), "{error}");
}

#[test]
fn mixed_keys_and_values_are_printed_as_python_prints_them() {
    let manager = Manager::start().unwrap();
    let d = manager.dict::<Any, Any>().unwrap();
    d.insert(1, "1").unwrap();
    d.insert("2", 2).unwrap();
    d.insert(0.25, Any::Null).unwrap();
    assert_eq!(d.to_string(), "{1: '1', '2': 2, 0.25: None}");
    let l = manager.list(0..10_i64).unwrap();
    l.reverse().unwrap();
    assert_eq!(l.to_string(), "[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]");
}

#[task(crate = shmkit_process)]
fn fill(d: Dict<String, List<i64>>, l: List<i64>) -> Result<(), String> {
    l.push(4).map_err(|error| error.to_string())?;
    d.insert("l", l).map_err(|error| error.to_string())?;
    Ok(())
}

#[test]
fn proxies_travel_in_the_arguments_of_a_task_and_nest() {
    let manager = Manager::start().unwrap();
    let d = manager.dict::<String, List<i64>>().unwrap();
    let l = manager.list([1_i64]).unwrap();
    let mut process = Process::spawn(fill, (d.clone(), l)).unwrap();
    process.join_timeout(LONG).unwrap().unwrap();
    let l = d.get("l").unwrap().unwrap();
    assert_eq!(l.to_vec().unwrap(), [1, 4]);
    drop(l);
    d.clear().unwrap();
    // And the process's socket has ended, in a moment if it has not yet.
    wait_until(|| manager.objects().unwrap() == 1);
    assert!(d.limited(LONG).is_empty().unwrap());
}

#[test]
fn a_method_that_calls_its_own_object_is_told_and_another_one_is_called() {
    let manager = Manager::start().unwrap();
    let one = LedgerProxy::new(&manager, 1).unwrap();
    let other = LedgerProxy::new(&manager, 2).unwrap();
    one.keep(one.clone()).unwrap();
    assert_eq!(one.limited(LONG).both(other).unwrap(), (2, true));
}

#[task(crate = shmkit_process)]
fn make(manager: Manager) -> Option<List<i64>> {
    // Until the manager has seen this process's end.
    std::mem::forget(manager.lease("maker", LONG).ok()?);
    manager.list([1, 2]).ok()
}

#[test]
fn an_object_in_an_answer_outlives_the_process_that_made_it() {
    let manager = Manager::start().unwrap();
    let another = Manager::connect(manager.address(), None).unwrap();
    let process = Process::spawn(make, (another,)).unwrap();
    wait_until(|| !process.is_alive());
    drop(manager.lease_timeout("maker", LONG, LONG).unwrap());
    let list = process.join().unwrap().unwrap();
    assert_eq!(list.to_vec().unwrap(), [1, 2]);
    drop(list);
    wait_until(|| manager.objects().unwrap() == 0);
}
