//! Python at the other end, with the real interpreter.

mod raw;
