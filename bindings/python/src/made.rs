//! How objects are made and found.

use pyo3::prelude::*;
use shmkit::segment::arena::{self, ArenaError};
use shmkit::{Object, ObjectErrorKind, Seat, Segment};

use crate::errors::failed;
use crate::travel;

/// Makes an object in the memory of this process; or finds the one that was packed.
pub(crate) fn make<O>(packed: Option<&[u8]>, spec: O::Spec) -> PyResult<O>
where
    O: Object<Seat, Spec: Clone> + serde::de::DeserializeOwned,
{
    if let Some(packed) = packed {
        return travel::unpack(packed);
    }
    let is_full = |kind| matches!(kind, ObjectErrorKind::NoRoom | ObjectErrorKind::Full);
    match arena::make(spec.clone()) {
        // A queue has addresses for all that may ever lie in it.
        Err(ArenaError::Object(error)) if is_full(error.kind()) => {
            arena::retire();
            arena::make(spec).map_err(failed)
        }
        result => result.map_err(failed),
    }
}

/// The same, in the segment where another object lies, as what belongs together must.
pub(crate) fn make_beside<O>(packed: Option<&[u8]>, spec: O::Spec, segment: &Segment) -> PyResult<O>
where
    O: Object<Seat> + serde::de::DeserializeOwned,
{
    match packed {
        Some(packed) => travel::unpack(packed),
        None => arena::make_in(segment, spec).map_err(failed),
    }
}
