//! All segments that there are to look into, whether they have a name or not.

use std::path::Path;

use shmkit::tracker::{
    DIRECTORY, InspectError, Inspection, ListError, Waits, inspect_all, unnamed, waits_in,
};

/// Looks into all segments of a directory; and into those without a name, which are in no directory, if it is the usual one: who
/// asks for another one is shown that alone.
pub(crate) fn all(
    directory: &Path,
) -> Result<impl Iterator<Item = Result<Inspection, InspectError>>, ListError> {
    let is_usual = directory == Path::new(DIRECTORY);
    let unnamed = is_usual.then(unnamed).into_iter().flatten();
    Ok(inspect_all(directory)?.chain(unnamed.map(Ok)))
}

/// Looks who waits for what in them.
pub(crate) fn waits(directory: &Path) -> Result<Waits, ListError> {
    Ok(waits_in(all(directory)?.flatten()))
}

/// Looks into one: by its name, or, if it has none, as `PID:DESCRIPTOR`.
pub(crate) fn one(directory: &Path, name: &str) -> Result<Inspection, InspectError> {
    let found = Inspection::new(directory, name);
    match (&found, name.split_once(':')) {
        (Err(InspectError::Missing), Some((pid, descriptor))) => {
            let (Ok(pid), Ok(descriptor)) = (pid.parse(), descriptor.parse()) else { return found };
            Inspection::open_in(pid, descriptor)
        }
        _ => found,
    }
}
