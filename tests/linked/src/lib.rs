//! A library that does something in a process of its own, so that its user need not know.

mod hidden;

shmkit::early!();

/// Doubles a number somewhere else.
///
/// # Errors
///
/// What keeps it from it.
pub fn isolated(number: u64) -> Result<u64, Box<dyn std::error::Error>> {
    Ok(shmkit::Process::spawn(hidden::double, (number,))?.join()?)
}
