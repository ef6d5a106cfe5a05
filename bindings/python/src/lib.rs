//! The half of `shmkit` for Python that is written in Rust: its classes over the crates' handles.
//!
//! What they are called in Python, and how they travel to children, is said by the package in `python/shmkit`, which is what
//! programs import.

mod array;
mod barrier;
mod block;
mod condition;
mod errors;
mod event;
mod guarded;
mod lock;
mod made;
mod map;
mod messages;
mod pipe;
mod rlock;
mod segment;
mod semaphore;
mod travel;
mod waiting;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::{
        array::Array, barrier::Barrier, block::Block, condition::Condition, errors::OwnerDied,
        event::Event, guarded::Guarded, lock::Lock, map::Map, messages::Messages, pipe::End,
        rlock::RLock, segment::Segment, semaphore::Semaphore, travel::join,
    };
    use pyo3::prelude::*;
    use pyo3::types::IntoPyDict;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        let hook = [("after_in_child", wrap_pyfunction!(crate::waiting::forked, module)?)];
        py.import("os")?.call_method("register_at_fork", (), Some(&hook.into_py_dict(py)?))?;
        crate::travel::enable();
        // A child takes part before `fork` returns there, so that nothing else has to ask whether it was forked.
        shmkit::join_all_at_fork(true).map_err(crate::errors::failed)
    }
}
