//! Any bytes as a message between two machines, and as what is asked and said there: each is what it says, or refused, and takes no memory
//! that is not there. The files are the bridge's own, without what brings the messages.

#[allow(dead_code, reason = "who sends uses the rest")]
#[path = "../../bridge/src/frame.rs"]
mod frame;
#[allow(dead_code, reason = "who sends uses the rest")]
#[path = "../../bridge/src/talk.rs"]
mod talk;

use self::frame::{Frame, Pieces};
use self::talk::{
    MapAsk, MapSaid, NextAsk, NextSaid, Order, Outcome, PoolAsk, PoolSaid, QueueAsk, QueueSaid,
};

/// What was taken out goes in again, and comes out the same. A macro: the types borrow from what they come out of.
macro_rules! again {
    ($type:ty, $value:expr) => {{
        let mut bytes = Vec::new();
        frame::push(&mut bytes, $value);
        let found = postcard::from_bytes::<$type>(&bytes);
        assert_eq!(found.as_ref(), Ok($value), "it comes out as it went in");
    }};
}

/// Runs one input.
///
/// # Panics
///
/// If something comes out of it that would not go in so.
pub fn run(bytes: &[u8]) {
    let Ok((_, rest)) = frame::open(bytes) else { return };
    let mut refused = 0;
    for found in frame::frames(rest) {
        let Ok(found) = found else {
            refused += 1;
            continue;
        };
        again!(Frame<'_>, &found);
        if let Frame::Ask { body, .. } | Frame::Part { body, .. } | Frame::Answer { body, .. } =
            found
        {
            said(body);
        }
    }
    assert!(refused <= 1, "what is behind no frame is looked at");
    said(rest);
}

/// Bytes that one side has sent, and the other takes for what it has asked for.
fn said(bytes: &[u8]) {
    macro_rules! each {
        ($($type:ty),+) => {$(
            if let Ok(value) = postcard::from_bytes::<$type>(bytes) {
                again!($type, &value);
            }
        )+};
    }
    each!(PoolAsk<'_>, PoolSaid, Order<'_>, Outcome<'_, String>, QueueAsk<'_>, QueueSaid<'_>);
    each!(NextAsk, NextSaid<'_>, MapAsk<'_>, MapSaid<'_>);
    let sum: usize = Pieces::of(bytes).flatten().map(|piece| piece.len() + 4).sum();
    assert!(sum <= bytes.len(), "pieces are there");
}
