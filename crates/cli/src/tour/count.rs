//! Counting bytes, lines, words and byte values, of a whole file or of any piece of it.
//!
//! # The rule at a border
//!
//! A line is a `\n`; a byte value is a byte value: both belong to the piece that holds the byte. A word is a run of
//! bytes that are not ASCII white space (as for `wc -w` in the C locale), and belongs to the piece that holds its
//! *first* byte. Whether the first byte of a piece begins a word depends on the byte before the piece, so a piece is
//! counted together with that byte. Then however a file is cut, its pieces add up to the file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

/// Bytes read at once.
const BLOCK: usize = 256 * 1024;

/// The longest run that is counted in 32-bit bins.
const RUN: usize = 1 << 30;

/// How often each byte value occurs.
pub(super) type Histogram = [u64; 256];

/// What was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) bytes: u64,
    pub(super) lines: u64,
    pub(super) words: u64,
    pub(super) histogram: Box<Histogram>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { bytes: 0, lines: 0, words: 0, histogram: Box::new([0; 256]) }
    }
}

impl Counts {
    /// Counts `text`, which follows the byte `before` in its file, or begins the file.
    pub(super) fn add(&mut self, text: &[u8], before: Option<u8>) {
        let mut after_space = before.is_none_or(is_space);
        for run in text.chunks(RUN) {
            // Four tables: equal bytes are often neighbours, and each increment of a bin waits for the last one.
            let mut bins = [[0_u32; 256]; 4];
            let mut starts = 0_u64;
            let (fours, rest) = run.as_chunks::<4>();
            for four in fours {
                for (lane, &byte) in four.iter().enumerate() {
                    bins[lane][usize::from(byte)] += 1;
                    let space = is_space(byte);
                    starts += u64::from(after_space & !space);
                    after_space = space;
                }
            }
            for &byte in rest {
                bins[0][usize::from(byte)] += 1;
                let space = is_space(byte);
                starts += u64::from(after_space & !space);
                after_space = space;
            }
            self.bytes += run.len() as u64;
            self.words += starts;
            for (value, bin) in self.histogram.iter_mut().enumerate() {
                let found = bins.iter().map(|table| u64::from(table[value])).sum::<u64>();
                *bin += found;
                if value == usize::from(b'\n') {
                    self.lines += found;
                }
            }
        }
    }

    /// Adds what was counted elsewhere.
    pub(super) fn merge(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.lines += other.lines;
        self.words += other.words;
        for (bin, more) in self.histogram.iter_mut().zip(other.histogram.iter()) {
            *bin += more;
        }
    }

    /// Returns a number that stands for the histogram in print: FNV-1a over its bins.
    pub(super) fn digest(&self) -> u64 {
        let bytes = self.histogram.iter().flat_map(|bin| bin.to_le_bytes());
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}

/// ASCII white space as C has it: space, and `\t` to `\r`.
fn is_space(byte: u8) -> bool {
    SPACE[usize::from(byte)]
}

const SPACE: [bool; 256] = {
    let mut table = [false; 256];
    table[b' ' as usize] = true;
    let mut byte = b'\t';
    while byte <= b'\r' {
        table[byte as usize] = true;
        byte += 1;
    }
    table
};

/// Opens a file that was a regular file when it was listed.
///
/// Never waits, whatever took the file's place since: a pipe without a writer, a link.
///
/// # Errors
///
/// As `open`; and if it is no regular file now.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is not a regular file any more"))
    }
}

/// Counts the `len` bytes of `file` from `start`, with a buffer that is kept from call to call.
///
/// Returns how many bytes were counted, fewer than `len` if the file ends early, and the error that ended it if one
/// did. `counts` holds just those bytes.
pub(super) fn range(
    file: &File,
    start: u64,
    len: u64,
    buffer: &mut Vec<u8>,
    counts: &mut Counts,
) -> (u64, io::Result<()>) {
    buffer.resize(BLOCK, 0);
    let mut done = 0;
    // The byte before `start` is read along with the first block.
    let mut before = None;
    let mut lead = usize::from(start > 0);
    while done < len {
        let want = (len - done).min((BLOCK - lead) as u64) as usize + lead;
        let got = match file.read_at(&mut buffer[..want], start + done - lead as u64) {
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return (done, Err(error)),
        };
        if got <= lead {
            break; // The end of the file, or only the byte before.
        }
        if lead == 1 {
            before = Some(buffer[0]);
        }
        let text = &buffer[lead..got];
        counts.add(text, before);
        before = text.last().copied();
        done += text.len() as u64;
        lead = 0;
    }
    (done, Ok(()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn counted(text: &[u8]) -> Counts {
        let mut counts = Counts::default();
        counts.add(text, None);
        counts
    }

    /// A small generator, so that a failure repeats.
    struct Random(u64);

    impl Random {
        fn below(&mut self, n: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 33) % n
        }

        fn text(&mut self, len: usize) -> Vec<u8> {
            let alphabet = b"ab \n\t\r\x0b\x0c\0\xff\xc3\xa9z";
            (0..len).map(|_| alphabet[self.below(alphabet.len() as u64) as usize]).collect()
        }
    }

    #[test]
    fn counts_are_those_of_a_plain_count() {
        let mut random = Random(1);
        for len in 0..200 {
            let text = random.text(len);
            let counts = counted(&text);
            assert_eq!(counts.bytes, text.len() as u64);
            assert_eq!(counts.lines, text.iter().filter(|&&b| b == b'\n').count() as u64);
            let words = text
                .split(|b| matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r'))
                .filter(|word| !word.is_empty())
                .count();
            assert_eq!(counts.words, words as u64, "{text:?}");
            for value in 0..=255_u8 {
                let found = text.iter().filter(|&&b| b == value).count() as u64;
                assert_eq!(counts.histogram[usize::from(value)], found);
            }
        }
    }

    #[test]
    fn pieces_add_up_to_the_whole_however_it_is_cut() {
        let mut random = Random(2);
        for _ in 0..500 {
            let len = random.below(60) as usize;
            let text = random.text(len);
            let mut sum = Counts::default();
            let mut start = 0;
            while start < text.len() {
                let end = text.len().min(start + 1 + random.below(9) as usize);
                sum.add(&text[start..end], start.checked_sub(1).map(|i| text[i]));
                start = end;
            }
            assert_eq!(sum, counted(&text), "{text:?}");
        }
    }

    #[test]
    fn ranges_of_a_file_add_up_to_the_file() {
        let mut random = Random(3);
        // Longer than a block, so that words cross blocks as well as ranges.
        let text = random.text(BLOCK + BLOCK / 2);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&text).unwrap();
        let mut buffer = Vec::new();
        for cut in [1, 2, BLOCK - 1, BLOCK, BLOCK + 1] {
            let mut sum = Counts::default();
            for (start, end) in [(0, cut), (cut, text.len())] {
                let len = (end - start) as u64;
                let (done, error) = range(&file, start as u64, len, &mut buffer, &mut sum);
                assert_eq!((done, error.is_ok()), (len, true));
            }
            assert_eq!(sum, counted(&text), "cut at {cut}");
        }
    }

    #[test]
    fn a_file_that_shrank_is_counted_as_far_as_it_goes() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one two").unwrap();
        let (mut buffer, mut counts) = (Vec::new(), Counts::default());
        for (start, len, expected) in [(4, 100, 3), (7, 5, 0), (8, 5, 0), (100, 5, 0)] {
            let (done, error) = range(&file, start, len, &mut buffer, &mut counts);
            assert_eq!((done, error.is_ok()), (expected, true), "from {start}");
        }
        assert_eq!((counts.bytes, counts.words), (3, 1));
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(open(&fifo).unwrap_err().to_string().contains("regular file"));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(open(&link).is_err());
    }

    #[test]
    fn the_digest_tells_histograms_apart() {
        assert_ne!(counted(b"ab").digest(), counted(b"aa").digest());
        assert_eq!(counted(b"ab").digest(), counted(b"ba").digest());
    }
}
