//! A peer that writes what no peer writes.

use super::*;

/// Where the positions and the words of a ring lie, in bytes.
const TAIL: u64 = 256;
const WORDS: u64 = 512;

/// Returns what a receiver says of these words, and of a tail after them.
fn told(words: &[u64], tail: u64) -> Result<Vec<u8>, PipeError> {
    let mut told = Err(PipeError::Empty);
    scene(SMALL, |region, judges| {
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        for (at, word) in words.iter().enumerate() {
            region.write(Offset::new(WORDS + 8 * at as u64).unwrap(), *word).unwrap();
        }
        region.write(Offset::new(TAIL).unwrap(), tail).unwrap();
        told = receiver.try_recv();
    });
    told
}

const fn header(kind: u64, len: u64) -> u64 {
    kind << 56 | len
}

#[test]
fn a_message_is_as_the_format_says() {
    let word = u64::from_ne_bytes(*b"burger\0\0");
    assert_eq!(told(&[header(1, 6), word], 2), Ok(b"burger".to_vec()));
    let streamed = [header(2, 8), 3, word, header(3, 3), 0, word];
    assert_eq!(told(&streamed, 6), Ok(b"burger\0\0bur".to_vec()));
}

#[test]
fn what_no_sender_puts_is_corrupt() {
    let corrupt = |words: &[u64], tail| {
        let told = told(words, tail);
        assert!(matches!(told, Err(PipeError::Corrupt { .. })), "{words:x?} {tail}: {told:?}");
    };
    corrupt(&[0], 1); // no header
    corrupt(&[header(5, 0)], 1); // no such kind
    corrupt(&[header(0x81, 0)], 1);
    corrupt(&[header(1, 1 << 48)], 1); // a bit that is none of the length
    corrupt(&[header(1, 1)], 1); // longer than what was published
    corrupt(&[header(1, 121)], 16); // beyond the end of the ring
    corrupt(&[header(1, (1 << 48) - 1)], 16);
    corrupt(&[header(4, 0)], 16); // nothing before it
    corrupt(&[header(2, 8)], 1); // half of a header
    corrupt(&[header(2, 8), 0, 0], 3); // a beginning without a rest
    corrupt(&[header(2, 0), 8], 2); // a piece of nothing
    corrupt(&[header(2, 8), 1 << 48, 0], 3);
    corrupt(&[header(2, 8), 8, 0, header(3, 8), 1, 0], 6); // more than was announced
    corrupt(&[header(2, 8), 8, 0, header(3, 7), 0, 0], 6); // less
    corrupt(&[], 17); // more than a ring
}

#[test]
fn a_skip_without_a_message_is_corrupt() {
    scene(SMALL, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        sender.send(&[1; 40]).unwrap();
        receiver.recv().unwrap();
        region.write(Offset::new(WORDS + 8 * 6).unwrap(), header(4, 0)).unwrap();
        region.write(Offset::new(TAIL).unwrap(), 16_u64).unwrap();
        assert!(matches!(receiver.try_recv(), Err(PipeError::Corrupt { .. })));
    });
}

#[test]
fn whatever_words_are_there_a_receiver_returns() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 20
    };
    let mut whole = 0;
    for _ in 0..20_000 {
        let words: Vec<_> = (0..16)
            .map(|_| match next() % 4 {
                0 => next() % 40,
                1 => next() << 20,
                _ => header(next() % 5, next() % 70),
            })
            .collect();
        whole += u32::from(told(&words, next() % 18).is_ok());
    }
    assert!(whole > 100, "{whole}");
}
