//! Tasks on the parts of a shared array.

use shmkit_cell::{Array, ArrayPart};
use shmkit_pool::{PartFailure, TaskError};
use shmkit_segment::{Options, Segment};

use super::*;

const COUNT: usize = 1003;

fn array() -> (Segment, Array<i64>) {
    let segment = Options::new(1 << 16).participants(16).anonymous().unwrap();
    let numbers: Vec<i64> = (0..COUNT as i64).collect();
    let array = segment.make::<Array<i64>>("numbers", numbers.into()).unwrap();
    (segment, array)
}

#[task(crate = shmkit_process)]
fn negate(part: ArrayPart<i64>) -> Result<(), Failure> {
    Ok(part.update(|numbers| numbers.iter_mut().for_each(|n| *n = -*n))?)
}

#[task(crate = shmkit_process)]
fn sum(part: ArrayPart<i64>) -> i64 {
    part.to_vec().unwrap().iter().sum()
}

/// Negates its part, but the one with this number in it.
#[task(crate = shmkit_process)]
fn negate_or_fail(part: ArrayPart<i64>) -> Result<(), Failure> {
    let numbers = part.range();
    part.update(|_| match () {
        _ if numbers.contains(&500) => std::process::abort(),
        _ if numbers.contains(&900) => Err(Failure::new("not these")),
        _ => Ok(()),
    })??;
    negate(part)
}

#[test]
fn an_array_is_changed_where_it_lies_part_by_part() {
    let (_segment, array) = array();
    let pool = pool(2);
    pool.par_for_each(negate, &array).unwrap();
    assert!(array.iter().unwrap().eq((0..COUNT as i64).map(|n| -n)));
    let sums = pool.par_map(sum, &array).unwrap();
    assert_eq!(sums.len(), 8, "four parts for each worker");
    assert_eq!(sums.iter().sum::<i64>(), -(0..COUNT as i64).sum::<i64>());
    let parts = pool.par_map_each(sum, &array);
    let lens: Vec<_> = parts.iter().map(|(range, _)| range.len()).collect();
    assert_eq!(lens, [126, 126, 126, 125, 125, 125, 125, 125]);
    assert!(parts.iter().flat_map(|(range, _)| range.clone()).eq(0..COUNT));
}

#[test]
fn a_part_whose_worker_dies_is_named_and_all_others_are_done() {
    let (_segment, array) = array();
    let error = pool(2).par_for_each(negate_or_fail, &array).unwrap_err();
    let [(died, why), (failed, said)] = error.failed() else { panic!("{error}") };
    assert!(died.contains(&500) && matches!(why, PartFailure::Task(TaskError::WorkerDied(_))));
    assert!(failed.contains(&900) && matches!(said, PartFailure::Said(_)), "{error}");
    assert_eq!(error.done(), 6);
    let text = error.to_string();
    assert!(text.contains(&format!("elements {died:?}: ")) && text.contains("not these"), "{text}");
    // The dead one has changed nothing, nor has it kept the others from the lock.
    for (n, found) in array.iter().unwrap().enumerate() {
        let as_it_was = died.contains(&n) || failed.contains(&n);
        assert_eq!(found, if as_it_was { n as i64 } else { -(n as i64) });
    }
}

#[test]
fn an_array_without_elements_has_no_parts() {
    let segment = Options::new(1 << 16).anonymous().unwrap();
    let array = segment.make::<Array<i64>>("none", Vec::new().into()).unwrap();
    assert_eq!(pool(1).par_map(sum, &array).unwrap(), []);
}
