//! Tests that need more than one process: one module per subject.

mod support;
