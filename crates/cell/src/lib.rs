//! Typed values and arrays in shared memory, never seen half-written
