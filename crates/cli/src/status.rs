//! Exit statuses, the same for all commands. `clap` has 2 for what is wrong with the command line, and a shell 128 and the
//! number of the signal that ended a process.

use std::process::ExitCode;

/// It was done, and there is nothing to say.
pub(crate) const SUCCESS: ExitCode = ExitCode::SUCCESS;

/// It was not done, or not all of it.
pub(crate) const FAILURE: ExitCode = ExitCode::FAILURE;

/// It was done, and found what somebody should look at.
pub(crate) fn findings(found: bool) -> ExitCode {
    if found { ExitCode::from(6) } else { SUCCESS }
}
