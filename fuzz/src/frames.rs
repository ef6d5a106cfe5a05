//! Operations on a pipe of messages against a model of it; and on one whose every word somebody else may have written.

use std::collections::VecDeque;
use std::ptr::NonNull;

use shmkit_layout::{Object, Offset, Region};
use shmkit_pipe::{FrameReceiver, FrameSender, Frames, PipeError};
use shmkit_roster::model::ModelJudge;

use super::input::Input;

/// Bytes of the ring.
const CAPACITY: usize = 256;
/// Bytes of the words before it.
const WORDS: usize = 512;

#[repr(C, align(128))]
struct Memory([u8; WORDS + CAPACITY]);

type Pipe<'a> = Frames<&'a ModelJudge>;

/// Runs one input.
///
/// # Panics
///
/// If the pipe does what the model does not.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let judges = ModelJudge::new(2);
    let mut memory = Box::new(Memory([0; WORDS + CAPACITY]));
    // SAFETY: the memory is borrowed mutably for as long as the region.
    let region =
        unsafe { Region::from_raw_parts(NonNull::from(&mut memory.0).cast(), WORDS + CAPACITY) };
    let capacity = 128 << (input.byte() % 2);
    // SAFETY: the memory is zero, and this run's alone.
    let pipe = unsafe { Pipe::init(region, capacity, &judges[0]) }.expect("there is room");
    // SAFETY: made above.
    let other = unsafe { Pipe::attach(region, capacity / 8, &judges[1]) }.expect("as made");
    let mut scene = Scene {
        sender: pipe.sender().expect("nobody has it"),
        receiver: other.receiver().expect("nobody has it"),
        whole: VecDeque::new(),
        long: None,
        given_up: false,
        next: 0,
    };
    let honest = input.byte().is_multiple_of(2);
    while !input.is_empty() {
        if honest {
            scene.step(&mut input);
        } else {
            scene.step_with_garbage(&mut input, region);
        }
    }
}

struct Scene<'a> {
    sender: FrameSender<&'a ModelJudge>,
    receiver: FrameReceiver<&'a ModelJudge>,
    /// What was sent and not received.
    whole: VecDeque<Vec<u8>>,
    /// A message that is being sent, and how much of it is.
    long: Option<(Vec<u8>, usize)>,
    /// The beginning of a message that was given up may lie in the pipe: it can be refused, or left out, as another.
    given_up: bool,
    /// The number of the next message: all are different.
    next: usize,
}

impl Scene<'_> {
    fn message(&mut self, len: usize) -> Vec<u8> {
        self.next += 1;
        (0..len).map(|at| (self.next * 31 + at * 7) as u8).collect()
    }

    fn step(&mut self, input: &mut Input<'_>) {
        self.given_up &= !self.sender.is_empty();
        match input.below(9) {
            0 => self.send(input.below(130)),
            1 => self.reserve(input.below(130), input.byte()),
            2 | 3 => self.stream(usize::from(input.byte()) * 5),
            4 => self.receive(|receiver, _| receiver.try_recv()),
            5 => {
                let len = input.below(200);
                let given_up = self.given_up;
                self.receive(|receiver, _| {
                    let mut buffer = vec![0xee; len];
                    let got = receiver.try_recv_into(&mut buffer)?;
                    let rest = buffer[got..].iter().all(|byte| *byte == 0xee);
                    assert!(rest || given_up, "more was written");
                    Ok(buffer[..got].to_vec())
                });
            }
            6 => {
                let release = input.byte().is_multiple_of(2);
                self.receive(|receiver, whole| {
                    let message = receiver.try_peek()?;
                    let bytes = message.bytes().to_vec();
                    if release {
                        message.release().expect("it is ours");
                    } else {
                        whole.push_front(bytes.clone()); // It stays.
                    }
                    Ok(bytes)
                });
            }
            7 => {
                if self.long.is_none() && !self.given_up {
                    let discarded = self.receiver.try_discard();
                    match self.whole.pop_front() {
                        Some(_) => assert_eq!(discarded, Ok(())),
                        None => assert_eq!(discarded, Err(PipeError::Empty)),
                    }
                }
            }
            _ => {
                let limit = input.number();
                self.receiver.set_limit(limit);
            }
        }
    }

    /// Another message is sent before the long one has been.
    fn end_long(&mut self) {
        self.given_up |= self.long.take().is_some();
    }

    fn send(&mut self, len: usize) {
        let message = self.message(len);
        match self.sender.try_send(&message) {
            Ok(()) => {
                self.end_long();
                self.whole.push_back(message);
            }
            Err(PipeError::TooMany { .. }) => assert!(len > self.sender.most_in_place()),
            Err(error) => {
                assert_eq!(error, PipeError::Full);
                assert!(!self.sender.is_empty(), "an empty pipe has room");
            }
        }
    }

    fn reserve(&mut self, len: usize, part: u8) {
        let message = self.message(len * usize::from(part) / 255);
        let Ok(mut draft) = self.sender.try_reserve(len) else { return };
        assert_eq!(draft.bytes().len(), len);
        draft.bytes()[..message.len()].copy_from_slice(&message);
        if !part.is_multiple_of(3) {
            draft.commit(message.len()).expect("it is ours");
            self.end_long();
            self.whole.push_back(message);
        }
    }

    fn stream(&mut self, len: usize) {
        let (message, sent) = match self.long.take() {
            Some(long) => long,
            None => (self.message(len), 0),
        };
        match self.sender.try_send_part(&message, sent) {
            Ok(now) if now == message.len() => self.whole.push_back(message),
            Ok(now) => {
                assert!(now > sent);
                self.long = Some((message, now));
            }
            Err(error) => {
                assert_eq!(error, PipeError::Full);
                self.long = (sent > 0).then_some((message, sent));
            }
        }
    }

    /// What comes is the first of the messages that were sent, or none, if there is none.
    fn receive(
        &mut self,
        by: impl FnOnce(
            &mut FrameReceiver<&ModelJudge>,
            &mut VecDeque<Vec<u8>>,
        ) -> Result<Vec<u8>, PipeError>,
    ) {
        let first = self.whole.pop_front();
        let got = by(&mut self.receiver, &mut self.whole);
        match (got, first) {
            (Ok(got), first) => assert_eq!(Some(got), first),
            (Err(PipeError::Empty), None) => {}
            (Err(PipeError::TooLong { length, .. } | PipeError::TooShort { length }), first) => {
                // It stays; or one is refused that is not all there.
                match first {
                    Some(first) => {
                        assert!(self.given_up || first.len() as u64 == length);
                        self.whole.push_front(first);
                    }
                    None => assert!(self.given_up || self.long.is_some()),
                }
            }
            (got, first) => panic!("{got:?} of {first:?}"),
        }
    }

    /// A peer that writes anything to any word at any time: every operation ends, and no byte outside is touched.
    fn step_with_garbage(&mut self, input: &mut Input<'_>, region: Region<'_>) {
        let at = match input.below(4) {
            0 => [128, 256, 384][input.below(3)],
            _ => WORDS as u64 + 8 * input.below(CAPACITY / 8) as u64,
        };
        let word = match input.below(3) {
            0 => input.number(),
            1 => u64::from(input.byte() % 40),
            // Often a header.
            _ => u64::from(input.byte() % 6) << 56 | u64::from(input.byte()),
        };
        region.write(Offset::new(at).expect("aligned"), word).expect("inside");
        let most = 2 * CAPACITY;
        match input.below(8) {
            0 => _ = self.sender.try_send(&[1; 20]),
            1 => _ = self.sender.try_send_part(&[2; 600], usize::from(input.byte())),
            2 => {
                if let Ok(mut draft) = self.sender.try_reserve(input.below(130)) {
                    draft.bytes().fill(3);
                    let len = draft.len();
                    let _ = draft.commit(len);
                }
            }
            3 => {
                let mut buffer = [0; 100];
                if let Ok(got) = self.receiver.try_recv_into(&mut buffer) {
                    assert!(got <= buffer.len());
                }
            }
            4 => {
                if let Ok(message) = self.receiver.try_peek() {
                    assert_eq!(message.bytes().len(), message.len());
                    let _ = message.release();
                }
            }
            5 => _ = self.receiver.try_discard(),
            6 => self.receiver.set_limit(most as u64),
            _ => _ = self.receiver.try_recv(),
        }
    }
}
