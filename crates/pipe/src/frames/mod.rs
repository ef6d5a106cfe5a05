//! Messages of any length, from one sender to one receiver.

#[cfg(feature = "rkyv")]
mod archive;
mod gather;
mod loan;
mod next;
mod object;
mod partial;
mod receiver;
mod sender;
#[cfg(feature = "serde")]
mod value;

#[cfg(feature = "rkyv")]
pub use self::archive::ArchiveError;
pub use self::loan::{Draft, Frame};
pub use self::object::Frames;
pub use self::receiver::FrameReceiver;
pub use self::sender::FrameSender;
#[cfg(feature = "serde")]
pub use self::value::ValueError;
