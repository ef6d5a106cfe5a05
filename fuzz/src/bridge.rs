//! Any bytes as a message between two machines, and as what is asked and said there: each is what it says, or refused, and takes no memory
//! that is not there. The files are the bridge's own, without what brings the messages.

#[allow(dead_code, reason = "who sends uses the rest")]
#[path = "../../bridge/src/frame.rs"]
mod frame;
#[allow(dead_code, reason = "who sends uses the rest")]
#[path = "../../bridge/src/talk.rs"]
mod talk;

use serde::{Deserialize, Serialize};

use self::frame::{Frame, Order, Outcome, Pieces};
use self::talk::{MapAsk, MapSaid, NextAsk, NextSaid, QueueAsk, QueueSaid};

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
        again(&found);
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
    one::<Order<'_>>(bytes);
    one::<Outcome<'_, String>>(bytes);
    one::<QueueAsk<'_>>(bytes);
    one::<QueueSaid<'_>>(bytes);
    one::<NextAsk>(bytes);
    one::<NextSaid<'_>>(bytes);
    one::<MapAsk<'_>>(bytes);
    one::<MapSaid<'_>>(bytes);
    let sum: usize = Pieces::of(bytes).flatten().map(|piece| piece.len() + 4).sum();
    assert!(sum <= bytes.len(), "pieces are there");
}

fn one<'b, T: Deserialize<'b> + Serialize>(bytes: &'b [u8]) {
    if let Ok(value) = postcard::from_bytes::<T>(bytes) {
        again(&value);
    }
}

/// What was taken out goes in again, in no more bytes than it may have come in.
fn again<T: Serialize>(value: &T) {
    let mut bytes = Vec::new();
    frame::push(&mut bytes, value);
    assert!(!bytes.is_empty(), "it has bytes");
}
