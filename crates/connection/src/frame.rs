//! The bytes around a message: Python's, of `Connection._send_bytes`.
//!
//! ```text
//! at 0  length  i32, big-endian, of the message in bytes; -1: the next field has it
//! at 4  length  u64, big-endian; only after -1, which Python writes from 2^31 bytes on
//! then          the message
//! ```

/// The longest header, in bytes.
pub(crate) const MOST_HEAD: usize = 12;

/// The longest message whose length the first field has.
const MOST_SHORT: usize = i32::MAX as usize;

/// The header of a message, as it is sent.
pub(crate) struct Head {
    bytes: [u8; MOST_HEAD],
    len: usize,
}

impl Head {
    /// The header of a message of `length` bytes.
    pub(crate) fn of(length: usize) -> Self {
        let mut bytes = [0; MOST_HEAD];
        let len = match i32::try_from(length) {
            Ok(short) => {
                bytes[..4].copy_from_slice(&short.to_be_bytes());
                4
            }
            Err(_) => {
                const { assert!(MOST_SHORT == 0x7FFF_FFFF) };
                bytes[..4].copy_from_slice(&(-1_i32).to_be_bytes());
                bytes[4..].copy_from_slice(&(length as u64).to_be_bytes());
                MOST_HEAD
            }
        };
        Self { bytes, len }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// What the first bytes of a frame say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// So many bytes of the header are to come.
    More(usize),
    /// The message is of this length.
    Length(u64),
    /// A length that no message has.
    Wrong(i32),
}

/// Reads a header of which these bytes have come, at most [`MOST_HEAD`].
pub(crate) fn parse(head: &[u8]) -> Parsed {
    let Some((short, rest)) = head.split_first_chunk::<4>() else {
        return Parsed::More(4 - head.len());
    };
    match (i32::from_be_bytes(*short), rest.first_chunk::<8>()) {
        (-1, Some(long)) => Parsed::Length(u64::from_be_bytes(*long)),
        (-1, None) => Parsed::More(MOST_HEAD - head.len()),
        (length, _) => match u64::try_from(length) {
            Ok(length) => Parsed::Length(length),
            Err(_) => Parsed::Wrong(length),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(hex: &str) -> Parsed {
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        parse(&(0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>())
    }

    #[test]
    fn pip_19_and_20_headers_are_python_s() {
        assert_eq!(Head::of(0).bytes(), [0, 0, 0, 0]);
        assert_eq!(Head::of(5).bytes(), [0, 0, 0, 5]);
        assert_eq!(Head::of(256).bytes(), [0, 0, 1, 0]);
        assert_eq!(Head::of(0x7FFF_FFFF).bytes(), [0x7F, 0xFF, 0xFF, 0xFF]);
        let long = [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0x80, 0, 0, 0];
        assert_eq!(Head::of(2_147_483_648).bytes(), long);
    }

    #[test]
    fn what_is_written_is_read_again() {
        for length in [0, 1, 16_384, 16_385, MOST_SHORT, MOST_SHORT + 1, usize::MAX] {
            assert_eq!(parse(Head::of(length).bytes()), Parsed::Length(length as u64));
        }
        // Python's reader accepts the long form of a small length, too.
        assert_eq!(parsed("ffffffff0000000000000005"), Parsed::Length(5));
    }

    #[test]
    fn a_header_is_asked_for_byte_by_byte() {
        assert_eq!(parsed(""), Parsed::More(4));
        assert_eq!(parsed("0000"), Parsed::More(2));
        assert_eq!(parsed("ffffffff"), Parsed::More(8));
        assert_eq!(parsed("ffffffff00"), Parsed::More(7));
    }

    #[test]
    fn pip_26_other_negative_lengths_are_wrong() {
        assert_eq!(parsed("fffffffe"), Parsed::Wrong(-2));
        assert_eq!(parsed("80000000"), Parsed::Wrong(i32::MIN));
    }
}
