//! Python at the other end, with the real interpreter.

mod list;
mod numpy;
mod raw;
