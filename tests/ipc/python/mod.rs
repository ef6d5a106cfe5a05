//! Python at the other end, with the real interpreter.

mod connection;
mod list;
mod numpy;
mod raw;
