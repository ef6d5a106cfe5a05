//! Which members a set has, and where they lie.
//!
//! ```text
//! 0 head | 64 table: 128 bytes for each member that there may be | members, and what is nobody's
//! ```
//!
//! All of it is the data of an undo log. What lies behind the last member is nobody's, so that a new one is written there
//! without a record; one to the head makes it a member, and takes it back with whatever else the transaction did.

use bytemuck::{Pod, Zeroable};
use shmkit_layout::{Schema, ShmChecked, ShmSafe, TypeTag};

use crate::TransactionError;

/// What the data of a set consist of, so that they are aligned.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(in crate::transactional) struct Line([u64; 8]);

// SAFETY: eight numbers, aligned to their sum.
unsafe impl Zeroable for Line {}
// SAFETY: `repr(C)`, eight numbers, and no byte beside them.
unsafe impl Pod for Line {}

// SAFETY: `Pod`: numbers whatever the bytes are.
unsafe impl ShmChecked for Line {
    const SCHEMA: &'static Schema = &Schema::opaque::<Self>("shmkit.Line/1");

    fn is_valid(_: &[u8]) -> bool {
        true
    }
}

impl ShmSafe for Line {}

/// Bytes of a line, to which members may be aligned at most.
pub(super) const LINE_BYTES: u64 = size_of::<Line>() as u64;

/// What a set begins with.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Head {
    /// How many members there are.
    pub(super) members: u64,
    /// Where the last of them ends, in bytes from the head on.
    pub(super) used: u64,
    /// How many members there may be. Stored once, by who makes the set.
    pub(super) most: u64,
}

/// A member as the table has it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Row {
    /// Padded with NUL.
    pub(super) name: [u8; 64],
    /// What its items are, or a map's keys and values.
    pub(super) tag: TypeTag,
    /// Where it lies, in bytes from the head on.
    pub(super) at: u64,
    /// How many items it has, or entries a map is made for.
    pub(super) count: u64,
}

pub(super) const ROW: u64 = size_of::<Row>() as u64;
const _: () = assert!(ROW == 128 && size_of::<Head>() == 24, "part of the segment format");

// SAFETY: numbers.
unsafe impl Zeroable for Head {}
// SAFETY: `repr(C)`, numbers.
unsafe impl Pod for Head {}
// SAFETY: bytes, a tag, which is `Zeroable`, and two numbers.
unsafe impl Zeroable for Row {}
// SAFETY: `repr(C)`, bytes, a tag, which is `Pod`, and two numbers, with no byte between them (looked at above).
unsafe impl Pod for Row {}

/// Where row `index` of the table lies, in bytes.
pub(super) fn row_at(index: u64) -> u64 {
    LINE_BYTES + index * ROW
}

/// Bytes before the first member of a set that may have so many; `None` if that is no number.
pub(super) fn before_members(most: u64) -> Option<u64> {
    most.checked_mul(ROW)?.checked_add(LINE_BYTES)
}

/// A name as the table has it.
pub(super) fn padded(name: &str) -> Result<[u8; 64], TransactionError> {
    let mut padded = [0; 64];
    match padded.get_mut(..name.len()) {
        Some(start) if !name.is_empty() && !name.contains('\0') => {
            start.copy_from_slice(name.as_bytes());
            Ok(padded)
        }
        _ => Err(TransactionError::Name),
    }
}
