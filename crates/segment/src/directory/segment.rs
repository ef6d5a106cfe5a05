//! The objects of a segment.
