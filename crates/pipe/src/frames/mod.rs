//! Messages of any length, from one sender to one receiver.

mod gather;
mod loan;
mod next;
mod object;
mod partial;
mod receiver;
mod sender;
#[cfg(feature = "serde")]
mod value;

pub use self::loan::{Draft, Frame};
pub use self::object::Frames;
pub use self::receiver::FrameReceiver;
pub use self::sender::FrameSender;
#[cfg(feature = "serde")]
pub use self::value::ValueError;
