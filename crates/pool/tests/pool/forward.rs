//! Calls that were packed elsewhere, as a bridge gives them to a pool.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use shmkit_parcel::Parcel;
use shmkit_pool::__bridge::{Outcome, Packed};
use shmkit_pool::{Pool, TaskError};
use shmkit_process::__bridge::{Call, answered};
use shmkit_process::Task;

use crate::{LONG, sleep, square};

fn packed(inputs: &[u64]) -> Packed {
    let mut parcel = Parcel::bare();
    let pack = |input: &u64| {
        square::pack(&(*input,), &mut parcel).unwrap();
        parcel.bytes().len()
    };
    let ends = inputs.iter().map(pack).collect();
    let task = Call::find(square::PRINT).unwrap().name();
    Packed { task, print: square::PRINT, ends, args: parcel.into_parts().0, limit: None }
}

/// A call that runs for longer than any test.
fn long() -> Packed {
    let mut parcel = Parcel::bare();
    sleep::pack(&(600_000,), &mut parcel).unwrap();
    let (args, print, limit) = (parcel.into_parts().0, sleep::PRINT, None);
    Packed { task: Call::find(print).unwrap().name(), print, ends: vec![args.len()], args, limit }
}

fn value(outcome: Outcome) -> Result<u64, TaskError> {
    let mut parcel = Parcel::from_parts(outcome?, Vec::new());
    answered(square::NAME, "pool", &mut parcel)?;
    Ok(parcel.take().unwrap())
}

#[test]
fn what_was_packed_elsewhere_is_answered_once_and_as_it_is() {
    let pool = Pool::builder(1).capacity(2).build().unwrap();
    let (tell, told) = channel();
    for round in 0..50_u64 {
        let tell = tell.clone();
        let given = pool.__forward(packed(&[round, 7, 9]), move |all| tell.send(all).unwrap());
        given.unwrap();
        let all = told.recv_timeout(LONG).unwrap().into_iter().map(value);
        assert_eq!(all.map(Result::unwrap).collect::<Vec<_>>(), [round * round, 49, 81]);
    }
    assert!(told.try_recv().is_err(), "once");
    // One that has no ends, or too far ones, is none.
    for ends in [vec![], vec![5], vec![2, 1]] {
        let wrong = Packed { ends, ..packed(&[1]) };
        let refused = pool.__forward(wrong, |_| unreachable!("it is told of already"));
        assert!(matches!(refused, Err(TaskError::Encode { .. })), "{refused:?}");
    }
}

#[test]
fn with_no_room_it_is_told_so_and_what_is_called_off_never_runs() {
    let pool = Pool::builder(1).capacity(1).build().unwrap();
    let (tell, told) = channel();
    let busy = pool.submit(sleep, (300,));
    let refused = pool.__forward(packed(&[1]), |_| unreachable!("it has no room"));
    assert!(matches!(refused, Err(TaskError::TimedOut)), "{refused:?}");
    busy.wait().unwrap();
    let pool = Pool::builder(1).capacity(2).build().unwrap();
    let busy = pool.submit(sleep, (300,));
    let given = pool.__forward(packed(&[1]), move |all| tell.send(all).unwrap()).unwrap();
    assert!(given.cancel(false));
    let mut all = told.recv_timeout(LONG).unwrap();
    assert!(matches!(all.pop().map(value), Some(Err(TaskError::Cancelled))));
    busy.wait().unwrap();
}

#[test]
fn what_runs_is_killed_and_may_take_no_longer_than_the_shorter_limit() {
    let pool = Pool::builder(1).timeout(Duration::from_millis(200)).build().unwrap();
    let (tell, told) = channel();
    let give = |limit| {
        let tell = tell.clone();
        let order = Packed { limit, ..long() };
        pool.__forward(order, move |all| tell.send(all).unwrap()).unwrap()
    };
    let answer = || told.recv_timeout(LONG).unwrap().pop().unwrap().map(drop);
    // The pool's, the caller's, and one that is said later.
    for limit in [None, Some(LONG), Some(Duration::from_millis(20))] {
        let given = give(limit);
        given.limit(LONG);
        assert!(matches!(answer(), Err(TaskError::Overran(_))), "{limit:?}");
        assert!(!given.is_running() && !given.cancel(true));
    }
    let pool = Pool::builder(1).build().unwrap();
    let given = pool.__forward(long(), move |all| tell.send(all).unwrap()).unwrap();
    let until = Instant::now() + LONG;
    while !given.is_running() {
        assert!(Instant::now() < until, "it runs");
    }
    assert!(!given.cancel(false) && given.clone().cancel(true));
    assert!(matches!(answer(), Err(TaskError::Cancelled)));
}
