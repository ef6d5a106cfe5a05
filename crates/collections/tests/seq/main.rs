//! What vectors and what is made like them promise, in one process; `tests/kill` has those who die.

mod corrupt;
mod deque;
mod string;
mod support;
mod vec;
