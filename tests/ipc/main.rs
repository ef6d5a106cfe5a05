//! Tests that need more than one process.
