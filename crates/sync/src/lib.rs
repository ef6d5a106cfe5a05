//! Locks between processes that survive the death of their owner
