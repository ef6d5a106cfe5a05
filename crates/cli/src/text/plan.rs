//! Cutting the files into chunks: what is handed to a worker at once.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::walk::Listed;

/// Chunks that each worker should get at least, so that none stands idle, and the kills fall into the work.
const CHUNKS_PER_WORKER: u64 = 16;
/// A chunk is not worth more bytes than this,
const MAX_BYTES: u64 = 256 * 1024;
/// nor more files.
pub(crate) const MAX_PIECES: usize = 64;

/// A part of one file that one chunk holds. An empty file is one piece of no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Piece {
    /// Which file: an index into the list.
    pub(crate) file: usize,
    /// Its first byte, in the file.
    pub(crate) start: u64,
    /// Its length, in bytes.
    pub(crate) len: u64,
}

/// The work of a tour. The pieces lie in the order of the files; a chunk is a run of pieces, all in their order.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) chunks: Vec<Range<usize>>,
}

impl Plan {
    /// Cuts `files` for `workers` workers: small inputs into single bytes if need be, so that there is something for everybody.
    pub(crate) fn cut(files: &[Listed], workers: u32) -> Self {
        let share = CHUNKS_PER_WORKER * u64::from(workers);
        let total: u64 = files.iter().map(|file| file.size).sum();
        let max_bytes = (total / share).clamp(1, MAX_BYTES);
        let max_pieces = (files.len() / share as usize).clamp(1, MAX_PIECES);
        let mut plan = Self::default();
        let (mut first, mut room) = (0, max_bytes);
        for (file, listed) in files.iter().enumerate() {
            let mut start = 0;
            loop {
                let len = room.min(listed.size - start);
                plan.pieces.push(Piece { file, start, len });
                (start, room) = (start + len, room - len);
                let end = plan.pieces.len();
                if room == 0 || end - first == max_pieces {
                    plan.chunks.push(first..end);
                    (first, room) = (end, max_bytes);
                }
                if start == listed.size {
                    break;
                }
            }
        }
        if first < plan.pieces.len() {
            plan.chunks.push(first..plan.pieces.len());
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte of every file lies in just one piece, every piece in just one chunk.
    fn cut(sizes: &[u64], workers: u32) -> Plan {
        let listed = |&size| Listed { size, ..Listed::default() };
        let plan = Plan::cut(&sizes.iter().map(listed).collect::<Vec<_>>(), workers);
        let mut next = 0;
        for chunk in &plan.chunks {
            assert!(chunk.start == next && !chunk.is_empty() && chunk.len() <= MAX_PIECES);
            next = chunk.end;
        }
        assert_eq!(next, plan.pieces.len());
        let mut ends = vec![0; sizes.len()];
        for piece in &plan.pieces {
            assert!(
                piece.len > 0 || sizes[piece.file] == 0,
                "only an empty file has an empty piece"
            );
            assert_eq!(piece.start, ends[piece.file]);
            ends[piece.file] += piece.len;
        }
        assert_eq!(ends, sizes);
        assert!(plan.pieces.is_sorted_by_key(|piece| piece.file));
        plan
    }

    #[test]
    fn every_byte_is_counted_once_and_there_is_work_for_everybody() {
        for workers in [1, 2, 8, 64] {
            cut(&[0, 5, 0, 1, 700, 3, 256 * 1024, 0, 1_000_000, 64, 2], workers);
            cut(&[3; 30_000], workers);
        }
        for sizes in [vec![40; 2], vec![100_000], vec![1; 64], vec![0; 64]] {
            assert!(cut(&sizes, 4).chunks.len() >= 64);
        }
        assert_eq!(cut(&[0], 4).chunks.len(), 1, "an empty file cannot be cut");
        assert!(cut(&[], 4).chunks.is_empty());
    }
}
