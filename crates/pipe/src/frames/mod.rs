//! Messages of any length, from one sender to one receiver.

mod gather;
mod loan;
mod next;
mod object;
mod partial;
mod receiver;
mod sender;

pub use self::loan::{Draft, Frame};
pub use self::object::Frames;
pub use self::receiver::FrameReceiver;
pub use self::sender::FrameSender;
