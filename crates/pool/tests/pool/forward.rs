//! Calls that were packed elsewhere, as a bridge gives them to a pool.

use std::sync::mpsc::channel;

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
    Packed { task, print: square::PRINT, ends, args: parcel.into_parts().0 }
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
    assert!(given.cancel());
    let mut all = told.recv_timeout(LONG).unwrap();
    assert!(matches!(all.pop().map(value), Some(Err(TaskError::Cancelled))));
    busy.wait().unwrap();
}
