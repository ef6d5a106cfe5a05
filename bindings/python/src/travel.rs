//! How objects travel to children: as the few bytes that say which object of which segment it is, beside the descriptor of the
//! segment, which Python's own start methods hand over.

use std::cell::Cell;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shmkit::layout::Kind;
use shmkit::{Seat, Segment, TypeTag};
use shmkit_roster::travel::{Arrived, Carrier, Packed, set_carrier};

use crate::errors::{failed, texts};

/// Segments of which objects were packed here or have come. They stay for as long as this process: there are few, one for each
/// process that has made something.
static KNOWN: Mutex<Vec<Segment>> = Mutex::new(Vec::new());

thread_local! {
    /// The seat that was packed last in this thread.
    static LAST: Cell<Option<Seat>> = const { Cell::new(None) };
}

struct ToChildren;

// SAFETY: `find` hands on what a segment's directory has found, and checked for kind and tag.
unsafe impl Carrier for ToChildren {
    fn pack(&self, what: &str, seat: &Seat) -> Result<Packed, String> {
        let packed = Segment::packed(seat).ok_or_else(|| format!("{what} lies in no segment"))?;
        LAST.set(Some(seat.clone()));
        Ok(packed)
    }

    fn find(&self, packed: &Packed, kind: Kind, tag: TypeTag) -> Result<Arrived, String> {
        let segment = known(packed.cookie)
            .ok_or_else(|| format!("the segment of this {kind} has not come along"))?;
        segment.find_packed(packed, kind, tag).map_err(|error| texts(&error))
    }

    fn join(&self, packed: &Packed) -> Result<Seat, String> {
        let segment = known(packed.cookie).ok_or("the segment has not come along")?;
        Ok(segment.seat())
    }
}

/// Has objects travel by this module.
pub(crate) fn enable() {
    set_carrier(&ToChildren);
}

fn all() -> MutexGuard<'static, Vec<Segment>> {
    // Whoever panics under it has pushed, or has not.
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn known(cookie: u64) -> Option<Segment> {
    all().iter().find(|segment| segment.header().cookie == cookie).cloned()
}

/// Returns the segment where an object lies.
pub(crate) fn segment_of(object: &impl Serialize) -> PyResult<Segment> {
    packed(object).map(|(_, segment)| segment)
}

fn packed(object: &impl Serialize) -> PyResult<(Vec<u8>, Segment)> {
    let bytes = postcard::to_allocvec(object).map_err(failed)?;
    let segment = LAST.take().as_ref().and_then(Segment::of_seat);
    let segment = segment.unwrap_or_else(|| unreachable!("a handle was serialised"));
    Ok((bytes, segment))
}

/// What `_pack` returns.
pub(crate) type Packing<'py> = (u64, RawFd, Bound<'py, PyBytes>);

/// Packs an object: the number of its segment, the segment's descriptor, and the bytes. The descriptor is the segment's own.
pub(crate) fn pack<'py>(py: Python<'py>, object: &impl Serialize) -> PyResult<Packing<'py>> {
    let (bytes, segment) = packed(object)?;
    let (cookie, file) = (segment.header().cookie, segment.file().map_err(failed)?.as_raw_fd());
    if known(cookie).is_none() {
        all().push(segment);
    }
    Ok((cookie, file, PyBytes::new(py, &bytes)))
}

/// Finds the object that was packed.
pub(crate) fn unpack<O: DeserializeOwned>(packed: &[u8]) -> PyResult<O> {
    postcard::from_bytes(packed).map_err(failed)
}

/// Joins the segment of this number, unless that was done before. `detach` is called for a descriptor of it, which is closed.
#[pyfunction]
pub(crate) fn join(py: Python<'_>, cookie: u64, detach: &Bound<'_, PyAny>) -> PyResult<()> {
    if known(cookie).is_some() {
        return Ok(());
    }
    let file: RawFd = detach.call0()?.extract()?;
    // SAFETY: Python has handed the descriptor over (`DupFd.detach`), nobody else closes it.
    let file = unsafe { OwnedFd::from_raw_fd(file) };
    let segment = py.detach(|| Segment::from_owned_fd(file)).map_err(failed)?;
    let found = segment.header().cookie;
    if found != cookie {
        return Err(pyo3::exceptions::PyRuntimeError::new_err(format!(
            "the descriptor that came along leads to segment {found:#x} instead of {cookie:#x}"
        )));
    }
    all().push(segment);
    Ok(())
}
