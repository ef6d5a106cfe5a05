//! Cutting the files into chunks: what is handed to a worker at once.

use super::walk::Listed;

/// Most chunks of a tour: the record of finished chunks has a bit for each.
pub(super) const MAX_CHUNKS: usize = 4096;

/// Chunks that each worker should get at least, so that none stands idle, and the kills fall into the work.
const CHUNKS_PER_WORKER: u64 = 16;
/// A chunk is not worth more bytes than this,
const MAX_BYTES: u64 = 256 * 1024;
/// nor more files, except where [`MAX_CHUNKS`] asks for it.
const MAX_PIECES: usize = 64;

/// A part of one file that one chunk holds. An empty file is one piece of no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Which file: an index into the list.
    pub(super) file: u64,
    /// Its first byte, in the file.
    pub(super) start: u64,
    /// Its length, in bytes.
    pub(super) len: u64,
}

/// A run of pieces that one worker counts at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The first piece: an index into the pieces.
    pub(super) first: u64,
    /// How many pieces.
    pub(super) pieces: u64,
}

/// The work of a tour. The pieces lie in the order of the files, the chunks in the order of the pieces.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) pieces: Vec<Piece>,
    pub(super) chunks: Vec<Chunk>,
}

impl Plan {
    /// Cuts `files` for `workers` workers: big inputs into at most [`MAX_CHUNKS`], small ones into single bytes if
    /// need be, so that there is something for everybody.
    pub(super) fn cut(files: &[Listed], workers: u32) -> Self {
        let share = CHUNKS_PER_WORKER * u64::from(workers);
        let total: u64 = files.iter().map(|file| file.size).sum();
        let mut bytes = (total / share).clamp(1, MAX_BYTES);
        let mut pieces = (files.len() / share as usize).clamp(1, MAX_PIECES);
        loop {
            let plan = Self::cut_at(files, bytes, pieces);
            if plan.chunks.len() <= MAX_CHUNKS {
                return plan;
            }
            (bytes, pieces) = (bytes * 2, pieces * 2);
        }
    }

    /// Cuts `files` into chunks of `max_bytes` bytes or `max_pieces` pieces, whichever is reached first.
    fn cut_at(files: &[Listed], max_bytes: u64, max_pieces: usize) -> Self {
        let mut plan = Self::default();
        let (mut first, mut room) = (0, max_bytes);
        for (index, file) in files.iter().enumerate() {
            let mut start = 0;
            loop {
                let len = room.min(file.size - start);
                plan.pieces.push(Piece { file: index as u64, start, len });
                (start, room) = (start + len, room - len);
                let pieces = plan.pieces.len() - first;
                if room == 0 || pieces == max_pieces {
                    plan.chunks.push(Chunk { first: first as u64, pieces: pieces as u64 });
                    (first, room) = (plan.pieces.len(), max_bytes);
                }
                if start == file.size {
                    break;
                }
            }
        }
        let pieces = plan.pieces.len() - first;
        if pieces > 0 {
            plan.chunks.push(Chunk { first: first as u64, pieces: pieces as u64 });
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(sizes: &[u64]) -> Vec<Listed> {
        sizes.iter().map(|&size| Listed { size, ..Listed::default() }).collect()
    }

    /// Every byte of every file lies in just one piece, every piece in just one chunk.
    fn check(files: &[Listed], plan: &Plan) {
        let mut next = 0;
        for chunk in &plan.chunks {
            assert!(chunk.pieces > 0);
            assert_eq!(chunk.first, next);
            next += chunk.pieces;
        }
        assert_eq!(next, plan.pieces.len() as u64);
        let mut pieces = plan.pieces.iter().copied().peekable();
        for (index, file) in files.iter().enumerate() {
            let mut at = 0;
            loop {
                let piece = pieces.next().expect("a piece for every byte");
                assert_eq!((piece.file, piece.start), (index as u64, at));
                at += piece.len;
                if pieces.peek().is_none_or(|next| next.file != index as u64) {
                    break;
                }
                assert!(piece.len > 0, "only an empty file has an empty piece");
            }
            assert_eq!(at, file.size);
        }
        assert_eq!(pieces.next(), None);
    }

    #[test]
    fn every_byte_is_counted_once() {
        let sizes = [0, 5, 0, 1, 700, 3, 256 * 1024, 0, 1_000_000, 64, 2];
        let files = files(&sizes);
        for workers in [1, 2, 8] {
            check(&files, &Plan::cut(&files, workers));
        }
        for (bytes, pieces) in [(1, 1), (7, 3), (64, 64), (1 << 20, 2), (1 << 40, 100)] {
            check(&files, &Plan::cut_at(&files, bytes, pieces));
        }
    }

    #[test]
    fn a_small_input_has_work_for_everybody() {
        for sizes in [vec![40; 2], vec![100_000], vec![1; 64], vec![0; 64]] {
            let files = files(&sizes);
            let plan = Plan::cut(&files, 4);
            check(&files, &plan);
            assert!(plan.chunks.len() >= 64, "{} chunks", plan.chunks.len());
        }
        assert_eq!(Plan::cut(&files(&[0]), 4).chunks.len(), 1, "an empty file cannot be cut");
    }

    #[test]
    fn a_big_input_is_cut_into_no_more_than_the_record_holds() {
        for files in [files(&[1 << 40]), files(&vec![3; 300_000]), files(&vec![1 << 20; 5000])] {
            let plan = Plan::cut(&files, 4);
            assert!(plan.chunks.len() <= MAX_CHUNKS);
            assert!(plan.chunks.len() > MAX_CHUNKS / 4);
        }
    }

    #[test]
    fn nothing_is_no_work() {
        assert!(Plan::cut(&[], 4).chunks.is_empty());
    }
}
