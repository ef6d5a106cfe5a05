//! What becomes ready, in a runtime.

use core::future::poll_fn;
use core::task::{Context, Poll, ready};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use shmkit_wait::{Pollable, Ready};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::looks::Looks;

/// Something that becomes [`Ready`], in a tokio runtime.
///
/// It has a descriptor, and belongs to the runtime in which it was made. *In a forked child* it is the parent's: make another one.
#[derive(Debug)]
pub struct Async<T> {
    descriptor: AsyncFd<Descriptor>,
    looks: Looks,
    thing: T,
}

/// What tokio waits for.
#[derive(Debug)]
struct Descriptor(Pollable);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl<T> Async<T> {
    /// Takes something into the runtime that runs this.
    ///
    /// # Errors
    ///
    /// That of the system: no descriptor is free.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, or in one without I/O.
    pub fn new(thing: T) -> io::Result<Self> {
        let descriptor = Descriptor(Pollable::new()?);
        // SAFETY: the descriptor is its `Pollable`'s, which keeps one and the same open for as long as it lives; it leaves the
        // `AsyncFd` with that only.
        let descriptor =
            unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?;
        Ok(Self { descriptor, looks: Looks::default(), thing })
    }

    /// Borrows it.
    pub fn get_ref(&self) -> &T {
        &self.thing
    }

    /// Borrows it, for operations that do not wait.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.thing
    }

    /// Takes it out of the runtime.
    pub fn into_inner(self) -> T {
        self.thing
    }

    /// Attempts something, and again whenever `arm` says that it may succeed, until there is a result.
    ///
    /// Nothing is taken without being returned in the same step: a future on it can be dropped at any time.
    pub(crate) fn poll_with<R>(
        &mut self,
        context: &mut Context<'_>,
        mut attempt: impl FnMut(&mut T) -> Option<R>,
        arm: impl Fn(&mut Pollable, &T) -> io::Result<bool>,
    ) -> Poll<io::Result<R>> {
        loop {
            if let Some(result) = attempt(&mut self.thing) {
                self.looks.found();
                return Poll::Ready(Ok(result));
            }
            // Ready without a result it has made progress, and others are to as well.
            if self.looks.again() || arm(&mut self.descriptor.get_mut().0, &self.thing)? {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            // What was told before it was armed is told anew, if it still matters: so it is cleared after the one attempt that
            // comes with it, and a ring since then makes the descriptor readable again.
            ready!(self.descriptor.poll_read_ready_mut(context))?.clear_ready();
        }
    }

    /// The future of [`poll_with`](Self::poll_with).
    pub(crate) async fn with<R>(
        &mut self,
        mut attempt: impl FnMut(&mut T) -> Option<R>,
        arm: impl Fn(&mut Pollable, &T) -> io::Result<bool>,
    ) -> io::Result<R> {
        poll_fn(|context| self.poll_with(context, &mut attempt, &arm)).await
    }
}

impl<T: Ready> Async<T> {
    /// Waits until it is ready: until a `try_` operation is worth it. That may find nothing, for others may be faster; then wait
    /// again. Can be cancelled at any time.
    ///
    /// # Errors
    ///
    /// Those of [`Pollable::arm`].
    ///
    /// # If a peer dies
    ///
    /// It is ready, if the operation would tell of the death.
    pub async fn ready(&mut self) -> io::Result<()> {
        poll_fn(|context| self.poll_ready(context)).await
    }

    /// As [`ready`](Self::ready), for futures that are written by hand.
    ///
    /// # Errors
    ///
    /// Those of [`Pollable::arm`].
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if armed(&mut self.descriptor.get_mut().0, &self.thing)? {
                return Poll::Ready(Ok(()));
            }
            ready!(self.descriptor.poll_read_ready_mut(context))?.clear_ready();
        }
    }
}

/// Arms the descriptor for what is held itself.
pub(crate) fn armed<T: Ready>(pollable: &mut Pollable, thing: &T) -> io::Result<bool> {
    pollable.arm(thing)
}
