//! Messages in a ring of words, of which loom watches each.

use shmkit_atomic::AtomicU64;
use shmkit_pipe::{Part, Piece, Words};

use super::*;

/// Bytes of a word.
const WORD: u64 = 8;

/// A ring of words; a message of `n` words has the same number in each.
struct Frames {
    ring: RawRing,
    words: Vec<AtomicU64>,
}

impl Words for Frames {
    fn load(&self, at: u64) -> u64 {
        self.words[at as usize].load(Relaxed)
    }

    fn store(&self, at: u64, word: u64) {
        self.words[at as usize].store(word, Relaxed);
    }
}

impl Frames {
    fn new(words: u64) -> Arc<Self> {
        let ring = RawRing::new();
        ring.set_capacity(words);
        Arc::new(Self { ring, words: (0..words).map(|_| AtomicU64::new(0)).collect() })
    }

    fn sender(&self, judge: &ModelJudge) -> Sender<'_> {
        RawEnd::claim(&self.ring, self.words.len() as u64, judge, false).unwrap()
    }

    fn receiver(&self, judge: &ModelJudge) -> Receiver<'_> {
        RawEnd::claim(&self.ring, self.words.len() as u64, judge, false).unwrap()
    }

    /// Sends a message of so many words, each of which is `value`.
    fn send(&self, end: &mut Sender<'_>, judge: &ModelJudge, value: u64, words: u64) {
        let place = end.place(judge, words * WORD, Deadline::NEVER).unwrap();
        (0..words).for_each(|word| self.store(place.at + word, value));
        end.put(self, place, words * WORD, 0, false);
    }

    /// Sends a message of so many words in pieces.
    fn stream(&self, end: &mut Sender<'_>, judge: &ModelJudge, value: u64, words: u64) {
        let mut left = words * WORD;
        let mut part = Part::First;
        while left > 0 {
            let place = end.place_part(judge, part, left, Deadline::NEVER).unwrap();
            (0..place.len / WORD).for_each(|word| self.store(place.at + word, value));
            left -= place.len;
            end.put(self, place, place.len, left, false);
            part = Part::Next;
        }
    }

    /// Returns the next piece and the value in all of its words, and releases it.
    fn take(&self, end: &mut Receiver<'_>, judge: &ModelJudge) -> Result<(Piece, u64), PipeError> {
        let piece = end.front(self, judge, Deadline::NEVER)?;
        let value = self.load(piece.at);
        for word in 1..piece.len / WORD {
            assert_eq!(self.load(piece.at + word), value, "{MIXED}");
        }
        end.publish(piece.words);
        Ok((piece, value))
    }
}

const MIXED: &str = "a message has words of another";

/// The ring stands so that the second message does not fit before its end.
#[test]
fn messages_that_wrap_around_arrive_whole_and_in_order() {
    model_of_two(|| {
        let [a, b] = judges();
        let frames = Frames::new(8);
        let sending = {
            let frames = frames.clone();
            thread::spawn(move || {
                let mut end = frames.sender(&a);
                (1..=3).for_each(|value| frames.send(&mut end, &a, value, 2));
                end.close(&a);
            })
        };
        let mut end = frames.receiver(&b);
        for value in 1..=3 {
            let (piece, found) = frames.take(&mut end, &b).unwrap();
            assert_eq!((piece.part, piece.len, found), (Part::Whole, 2 * WORD, value));
        }
        assert_eq!(frames.take(&mut end, &b), Err(PipeError::Closed));
        sending.join().unwrap();
    });
}

/// A sender dies before it wakes anybody for the `rings`-th time, in the middle of a streamed message or before it: what comes of
/// it begins with its beginning, and is of that message alone.
fn dead_stream(rings: u32) {
    // Many steps: a death, a claim, and sleeps between them.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(1);
    model.check(move || {
        let [a, b, c] = judges();
        let frames = Frames::new(8);
        let sending = {
            let frames = frames.clone();
            thread::spawn(move || {
                let mut end = frames.sender(&a);
                let _ = crash::after(rings, || frames.stream(&mut end, &a, 7, 4));
                a.die();
                let mut end = frames.sender(&c);
                frames.send(&mut end, &c, 9, 1);
                end.close(&c);
            })
        };
        let mut end = frames.receiver(&b);
        let mut left = None;
        let mut next = false;
        loop {
            match frames.take(&mut end, &b) {
                Ok((piece, value)) if piece.part == Part::Whole => {
                    assert_eq!((piece.len, value), (WORD, 9));
                    next = true;
                }
                Ok((piece, value)) => {
                    assert!(!next && value == 7, "a piece comes after its sender's successor");
                    let first = piece.part == Part::First;
                    assert_eq!(left.is_none(), first, "a beginning comes once, and first");
                    let before = left.unwrap_or(4 * WORD);
                    assert_eq!(piece.len + piece.left, before, "a piece was left out");
                    left = Some(piece.left);
                }
                Err(PipeError::PeerDied { .. }) => thread::yield_now(),
                Err(PipeError::Closed) => break,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(next, "the successor's message was lost");
        sending.join().unwrap();
    });
}

#[test]
fn the_pieces_of_a_dead_sender_are_a_beginning_of_its_message() {
    (0..3).for_each(dead_stream);
}

/// Publishes a message before it is written, in the wrong way.
#[test]
fn a_message_is_not_believed_before_it_is_written() {
    expect_failure("frames::a_message_is_not_believed_before_it_is_written", MIXED, || {
        model_of_two(|| {
            let [a, b] = judges();
            let frames = Frames::new(16);
            let sending = {
                let frames = frames.clone();
                thread::spawn(move || {
                    let mut end = frames.sender(&a);
                    let place = end.place(&a, 2 * WORD, Deadline::NEVER).unwrap();
                    frames.store(place.at, 7);
                    end.put(&*frames, place, 2 * WORD, 0, false);
                    frames.store(place.at + 1, 7);
                })
            };
            let mut end = frames.receiver(&b);
            frames.take(&mut end, &b).unwrap();
            sending.join().unwrap();
        });
    });
}
