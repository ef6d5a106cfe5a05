//! How an end waits.

/// How an end of a pipe waits for the other one: chosen by its holder, for itself alone.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/example.rs"));
/// # fn main() {
/// # example(8, |pipe| {
/// use shmkit_pipe::Waiting;
///
/// let (mut sender, mut receiver) = (pipe.sender()?, pipe.receiver()?);
/// receiver.set_waiting(Waiting::Spin); // It has a processor to itself.
/// std::thread::scope(|scope| {
///     scope.spawn(|| sender.send(7).unwrap());
///     assert_eq!(receiver.recv(), Ok(7));
/// });
/// # Ok(())
/// # });
/// # }
/// ```
///
/// Whatever is chosen, deaths are noticed and waits end as they do otherwise. Waits for somebody to come (`wait_for_peer`, `accept`)
/// sleep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting {
    /// Looks again and again, and never sleeps: a processor for each wait, and no system call on either side. The other side must
    /// be able to run meanwhile.
    Spin,
    /// Looks for some microseconds, and sleeps then.
    #[default]
    SpinThenSleep,
    /// Sleeps at once: for who waits for long, mostly, or has no processor to spare.
    Sleep,
}
