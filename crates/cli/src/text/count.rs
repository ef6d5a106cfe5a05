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

/// Words, and how often each byte value occurs.
pub(crate) const FIGURES: usize = 1 + 256;

/// What was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counts(pub(crate) [u64; FIGURES]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; FIGURES])
    }
}

impl From<&[u64]> for Counts {
    fn from(figures: &[u64]) -> Self {
        let mut counts = Self::default();
        counts.0.iter_mut().zip(figures).for_each(|(to, from)| *to = *from);
        counts
    }
}

impl Counts {
    pub(crate) fn words(&self) -> u64 {
        self.0[0]
    }

    /// How often each byte value occurs.
    pub(crate) fn bins(&self) -> &[u64] {
        &self.0[1..]
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bins().iter().sum()
    }

    pub(crate) fn lines(&self) -> u64 {
        self.bins()[usize::from(b'\n')]
    }

    /// Counts `text`, which follows the byte `before` in its file, or begins the file.
    pub(crate) fn add(&mut self, text: &[u8], before: Option<u8>) {
        let mut after_space = before.is_none_or(is_space);
        // Two tables: equal bytes are often neighbours, and each increment of a bin waits for the last one.
        let mut bins = [[0_u64; 256]; 2];
        for (at, &byte) in text.iter().enumerate() {
            bins[at % 2][usize::from(byte)] += 1;
            let space = is_space(byte);
            self.0[0] += u64::from(after_space & !space);
            after_space = space;
        }
        for (sum, (a, b)) in self.0[1..].iter_mut().zip(bins[0].iter().zip(&bins[1])) {
            *sum += a + b;
        }
    }

    /// Returns a number that stands for the histogram in print: FNV-1a over its bins.
    pub(crate) fn digest(&self) -> u64 {
        let bytes = self.bins().iter().flat_map(|bin| bin.to_le_bytes());
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}

/// ASCII white space as C has it: space, and `\t` to `\r`.
fn is_space(byte: u8) -> bool {
    byte == b' ' || byte.wrapping_sub(b'\t') < 5
}

/// Opens a file that was a regular file when it was listed.
///
/// Never waits, whatever took the file's place since: a pipe without a writer, a link.
///
/// # Errors
///
/// As `open`; and if it is no regular file now.
pub(crate) fn open(path: &Path) -> io::Result<File> {
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
pub(crate) fn range(
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

    fn text(random: &mut fastrand::Rng, len: usize) -> Vec<u8> {
        (0..len).map(|_| *random.choice(b"ab \n\t\r\x0b\x0c\0\xff\xc3\xa9z").unwrap()).collect()
    }

    #[test]
    fn counts_are_those_of_a_plain_count_however_the_text_is_cut() {
        let mut random = fastrand::Rng::with_seed(1);
        for len in 0..300 {
            let text = text(&mut random, len);
            let counts = counted(&text);
            let count = |value| text.iter().filter(|&&byte| byte == value).count() as u64;
            assert!((0..=255).all(|value| counts.bins()[usize::from(value)] == count(value)));
            assert_eq!((counts.bytes(), counts.lines()), (len as u64, count(b'\n')));
            let words = text
                .split(|b| matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r'))
                .filter(|word| !word.is_empty());
            assert_eq!(counts.words(), words.count() as u64, "{text:?}");
            let (mut sum, mut start) = (Counts::default(), 0);
            while start < len {
                let end = len.min(start + random.usize(1..10));
                sum.add(&text[start..end], start.checked_sub(1).map(|before| text[before]));
                start = end;
            }
            assert_eq!(sum, counts, "{text:?}");
        }
        assert_ne!(counted(b"ab").digest(), counted(b"aa").digest());
        assert_eq!(counted(b"ab").digest(), counted(b"ba").digest());
    }

    #[test]
    fn ranges_of_a_file_add_up_to_it_and_end_where_it_does() {
        // Longer than a block, so that words cross blocks as well as ranges.
        let text = text(&mut fastrand::Rng::with_seed(3), BLOCK + BLOCK / 2);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&text).unwrap();
        let mut buffer = Vec::new();
        for cut in [1, 2, BLOCK - 1, BLOCK, BLOCK + 1] {
            let mut sum = Counts::default();
            for (start, end, more) in [(0, cut, 0), (cut, text.len(), 7), (text.len() + 1, 0, 9)] {
                let len = end.saturating_sub(start) as u64;
                let (done, error) = range(&file, start as u64, len + more, &mut buffer, &mut sum);
                assert_eq!((done, error.is_ok()), (len, true));
            }
            assert_eq!(sum, counted(&text), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let [fifo, link] = ["fifo", "link"].map(|name| dir.path().join(name));
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(open(&fifo).unwrap_err().to_string().contains("regular file"));
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(open(&link).is_err());
    }
}
