//! What each error is to those who speak of [`io::Error`], and whether it is a time-out.

use core::error::Error;
use std::io::{self, ErrorKind};

use crate::{
    ActionError, BarrierError, CountingError, EventError, Guard, InitError, LockError, LockFailure,
    NotOwner, NotifyError, OnceError, ReleaseError, SemaphoreError, UnlockError, WaitError, Wakeup,
};

/// The kinds of errors that carry no guard; what is not in the list is [`ErrorKind::Other`].
macro_rules! kinds {
    ($($error:ident: $($($name:ident)|+ => $kind:ident),+;)*) => {$(
        impl $error {
            /// Returns whether the deadline passed before it came.
            pub fn is_timeout(&self) -> bool {
                kind_of(self) == ErrorKind::TimedOut
            }
        }

        impl Kind for $error {
            fn kind(&self) -> ErrorKind {
                match self {
                    $($(Self::$name { .. })|+ => ErrorKind::$kind,)+
                    _ => ErrorKind::Other,
                }
            }
        }

        impl From<$error> for io::Error {
            fn from(error: $error) -> Self {
                Self::new(kind_of(&error), error)
            }
        }
    )*};
}

trait Kind {
    fn kind(&self) -> ErrorKind;
}

fn kind_of(error: &impl Kind) -> ErrorKind {
    error.kind()
}

kinds! {
    LockFailure: TimedOut => TimedOut, WouldBlock => WouldBlock, Interrupted => Interrupted,
        PeerDied => ConnectionReset, WouldDeadlock => Deadlock, Corrupt => InvalidData;
    SemaphoreError: TimedOut => TimedOut, WouldBlock => WouldBlock, Interrupted => Interrupted,
        PeerDied => ConnectionReset, WouldDeadlock => Deadlock, TooMany => InvalidInput,
        Corrupt => InvalidData;
    CountingError: TimedOut => TimedOut, WouldBlock => WouldBlock, Interrupted => Interrupted,
        PeerDied => ConnectionReset, PastBound => InvalidInput;
    EventError: TimedOut => TimedOut, Interrupted => Interrupted, PeerDied => ConnectionReset;
    BarrierError: TimedOut => TimedOut, Interrupted => Interrupted,
        PartyDied | PeerDied => ConnectionReset, Broken => ConnectionAborted, Corrupt => InvalidData;
    OnceError: TimedOut => TimedOut, WouldBlock => WouldBlock, Interrupted => Interrupted,
        OwnerDied | PeerDied => ConnectionReset, Recursive => Deadlock, Corrupt => InvalidData;
}

impl<E> ActionError<E> {
    /// Returns whether the deadline passed before all had come.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Barrier(error) if error.is_timeout())
    }
}

impl<E> InitError<E> {
    /// Returns whether the deadline passed before somebody else was done.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Once(error) if error.is_timeout())
    }
}

impl<E: Error + Send + Sync + 'static> From<ActionError<E>> for io::Error {
    fn from(error: ActionError<E>) -> Self {
        let kind = match &error {
            ActionError::Action(_) => ErrorKind::Other,
            ActionError::Barrier(error) => error.kind(),
        };
        Self::new(kind, error)
    }
}

impl<E: Error + Send + Sync + 'static> From<InitError<E>> for io::Error {
    fn from(error: InitError<E>) -> Self {
        let kind = match &error {
            InitError::Failed(_) => ErrorKind::Other,
            InitError::Once(error) => error.kind(),
        };
        Self::new(kind, error)
    }
}

impl From<NotifyError> for io::Error {
    fn from(error: NotifyError) -> Self {
        let kind = match error {
            NotifyError::NotOwner => ErrorKind::PermissionDenied,
            NotifyError::OtherLock | NotifyError::OtherSegment => ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

impl From<NotOwner> for io::Error {
    fn from(error: NotOwner) -> Self {
        Self::new(ErrorKind::PermissionDenied, error)
    }
}

impl From<UnlockError> for io::Error {
    fn from(error: UnlockError) -> Self {
        let kind = match error {
            UnlockError::NotLocked => ErrorKind::PermissionDenied,
            UnlockError::Failed(failure) => failure.kind(),
        };
        Self::new(kind, error)
    }
}

impl From<ReleaseError> for io::Error {
    fn from(error: ReleaseError) -> Self {
        let kind = match error {
            ReleaseError::NotHeld { .. } => ErrorKind::PermissionDenied,
            ReleaseError::Failed(failure) => failure.kind(),
        };
        Self::new(kind, error)
    }
}

impl<G> LockError<G> {
    /// Returns whether the deadline passed before the lock was free.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Failed(LockFailure::TimedOut))
    }
}

impl<G> WaitError<G> {
    /// Returns whether the deadline passed, whatever else is wrong with the lock.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::OwnerDied(_, wakeup)
            | Self::NotRecoverable(_, wakeup)
            | Self::Poisoned(_, wakeup) => *wakeup == Wakeup::TimedOut,
            Self::Lost(failure) => failure.is_timeout(),
            _ => false,
        }
    }
}

/// Without the guard: the lock is released, if it is held.
impl<G: Guard> From<LockError<G>> for io::Error {
    fn from(error: LockError<G>) -> Self {
        let kind = match &error {
            LockError::Failed(failure) => failure.kind(),
            _ => ErrorKind::Other,
        };
        Self::new(kind, error.detach())
    }
}

/// Without the guard: the lock is released, if it is held.
impl<G: Guard> From<WaitError<G>> for io::Error {
    fn from(error: WaitError<G>) -> Self {
        let kind = match &error {
            WaitError::NotOwner(_) => ErrorKind::PermissionDenied,
            WaitError::OtherLock(_) | WaitError::OtherSegment(_) | WaitError::NotAlone(_) => {
                ErrorKind::InvalidInput
            }
            WaitError::Interrupted(_) => ErrorKind::Interrupted,
            WaitError::PeerDied(..) => ErrorKind::ConnectionReset,
            WaitError::Corrupt(_) => ErrorKind::InvalidData,
            WaitError::Lost(failure) => failure.kind(),
            _ => ErrorKind::Other,
        };
        Self::new(kind, error.detach())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_reason_is_in_the_text_and_its_kind_beside_it() {
        let error = io::Error::from(LockFailure::TimedOut);
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.to_string(), LockFailure::TimedOut.to_string());
        assert!(LockFailure::TimedOut.is_timeout() && !LockFailure::WouldBlock.is_timeout());
        let error = SemaphoreError::TooMany { asked: 3, permits: 2 };
        assert_eq!(io::Error::from(error).kind(), ErrorKind::InvalidInput);
    }
}
