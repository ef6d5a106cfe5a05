//! A locked array as `ndarray`'s views.

use ndarray::{Array2, ShapeBuilder, arr2};
use shmkit_cell::{Array, ArrayError};
use shmkit_roster::model::ModelJudge;

use crate::support::{Memory, attach, make};

#[test]
fn a_view_is_the_array_in_place_in_rows_or_in_columns() {
    let me = ModelJudge::new(1).remove(0);
    let mut memory = Memory::<4096>::new();
    let table: Array<i32, _> = make(memory.region(), [1, 2, 3, 4, 5, 6], &me);
    let mut guard = table.lock().unwrap();
    assert_eq!(guard.view((2, 3)).unwrap(), arr2(&[[1, 2, 3], [4, 5, 6]]));
    assert_eq!(guard.view((2, 3).f()).unwrap(), arr2(&[[1, 3, 5], [2, 4, 6]]));
    let mut view = guard.view_mut((3, 2)).unwrap();
    view[[2, 0]] = 50;
    view.column_mut(1).fill(0);
    assert_eq!(*guard, [1, 0, 3, 0, 50, 0]);
    let product = guard.view((2, 3)).unwrap().dot(&Array2::eye(3));
    assert_eq!(product, guard.view((2, 3)).unwrap());
}

#[test]
fn a_shape_that_is_none_of_the_elements_is_refused() {
    let me = ModelJudge::new(1).remove(0);
    let mut memory = Memory::<4096>::new();
    let table: Array<u8, _> = make(memory.region(), 6, &me);
    let mut guard = table.lock().unwrap();
    let refused = ArrayError::Shape { len: 6 };
    assert_eq!(guard.view((2, 2)).unwrap_err(), refused, "fewer");
    assert_eq!(guard.view((7, 1)).unwrap_err(), refused, "more");
    assert_eq!(guard.view((usize::MAX, 2)).unwrap_err(), refused);
    assert_eq!(guard.view_mut((2, 3).strides((0, 1))).unwrap_err(), refused, "some twice");
    assert_eq!(guard.view_mut((5, 1)).unwrap_err(), refused);
    drop(guard);
    let mut range = table.lock_range(2..).unwrap();
    range.view_mut((2, 2)).unwrap()[[1, 1]] = 9;
    assert_eq!(range.view((3, 2)).unwrap_err(), ArrayError::Shape { len: 4 });
    drop(range);
    assert_eq!(table.get(5), Ok(9));
}

#[test]
fn who_dies_with_a_view_to_write_is_reported() {
    let judges = ModelJudge::new(2);
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    let here: Array<f64, _> = make(region, 4, &judges[0]);
    let there: Array<f64, _> = attach(region, 4, &judges[1]);
    core::mem::forget({
        let mut guard = there.lock().unwrap();
        guard.view_mut((2, 2)).unwrap()[[0, 0]] = 1.0;
        guard
    });
    judges[1].die();
    assert_eq!(here.get(0), Err(ArrayError::OwnerDied));
}
