//! Operations on a pipe against a model of it; and on a ring whose every word somebody else may have written.

use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use shmkit_layout::{Object, Offset, Region};
use shmkit_pipe::{ClaimError, Pipe, PipeError, Receiver, Sender};
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, OwnerId};

use super::input::Input;

/// How many take part.
const PARTICIPANTS: usize = 4;
/// Most items that the memory has room for.
const ITEMS: usize = 64;
/// Bytes of the words of a ring.
const WORDS: usize = 512;
/// Where the words are that a peer may get wrong: capacity, both roles, both bells, head, tail.
const U64S: [u64; 3] = [0, 128, 256];
const U32S: [u64; 4] = [8, 12, 16, 20];

#[repr(C, align(128))]
struct Memory([u8; WORDS + 8 * ITEMS]);

type Ring<'a> = Pipe<u64, &'a ModelJudge>;

/// Runs one input.
///
/// # Panics
///
/// If the pipe does what the model does not.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let judges = ModelJudge::new(PARTICIPANTS as u32);
    let mut memory = Box::new(Memory([0; WORDS + 8 * ITEMS]));
    // SAFETY: the memory is borrowed mutably for as long as the region.
    let region =
        unsafe { Region::from_raw_parts(NonNull::from(&mut memory.0).cast(), WORDS + 8 * ITEMS) };
    if input.byte().is_multiple_of(2) {
        honest(&mut input, region, &judges);
    } else {
        wrong(&mut input, region, &judges);
    }
}

/// Peers that do what they should: every answer is the model's.
fn honest(input: &mut Input<'_>, region: Region<'_>, judges: &[ModelJudge]) {
    let asked = input.below(ITEMS) as u64 + 1;
    // SAFETY: the memory is zero, and this run's alone.
    unsafe { Ring::init(region, asked, &judges[0]) }.expect("at most as many as there is room for");
    let capacity = asked.next_power_of_two();
    let mut scene = Scene {
        // SAFETY: made above.
        pipes: judges
            .iter()
            .map(|judge| unsafe { Ring::attach(region, capacity, judge) }.expect("as made"))
            .collect(),
        judges,
        alive: [true; PARTICIPANTS],
        items: VecDeque::new(),
        capacity: capacity as usize,
        next: 0,
        sender: Side::Nobody,
        receiver: Side::Nobody,
        senders_know: Knows::Nothing,
        receivers_know: Knows::Nothing,
        receiver_is_old: false,
        sender_is_old: false,
    };
    while !input.is_empty() {
        scene.step(input);
    }
}

/// One end as the model has it, with the handle of its holder.
enum Side<E> {
    Nobody,
    /// Handed over: as nobody's, and whoever comes next goes on with its session.
    Handed,
    Held(usize, E),
    Closed,
    Dead(usize),
}

impl<E> Side<E> {
    /// What somebody at the other end, who finds nothing to do, is told, to whom so many items are left; `None` if that it is to
    /// wait.
    fn end(&self, judges: &[ModelJudge], left: usize) -> Option<PipeError> {
        match self {
            Self::Nobody | Self::Handed | Self::Held(..) => None,
            Self::Closed => Some(PipeError::Closed),
            Self::Dead(who) => {
                Some(PipeError::PeerDied { peer: id(&judges[*who]), left: left as u64 })
            }
        }
    }

    /// Whether a claim by somebody succeeds.
    fn claim(&self, judges: &[ModelJudge]) -> Result<(), ClaimError> {
        match self {
            Self::Held(who, _) => Err(ClaimError::Taken { holder: id(&judges[*who]) }),
            _ => Ok(()),
        }
    }

    fn close(&mut self, knows: &mut Knows) {
        if let Self::Held(..) = self {
            *self = Self::Closed;
            *knows = (*knows).max(Knows::Left);
        }
    }

    /// Whether the end of this side is old news to who comes to the other one, whose holders know that of this session, the last of
    /// them having `closed` it.
    fn is_old(&self, knows: Knows, closed: bool) -> bool {
        match self {
            Self::Closed => knows == Knows::Told || knows == Knows::Left && closed,
            Self::Dead(_) => knows == Knows::Told,
            _ => false,
        }
    }

    /// The holder gives its end to whoever comes next, and with it that the end of the other side is old news, if it `is_old`.
    fn hand_over(
        &mut self,
        is_old: bool,
        knows: &mut Knows,
        give: impl FnOnce(E) -> Result<(), PipeError>,
    ) {
        if let Self::Held(..) = self {
            if is_old {
                *knows = Knows::Told;
            }
            let Self::Held(_, end) = std::mem::replace(self, Self::Handed) else { return };
            give(end).expect("it is ours");
        }
    }

    /// The holder dies: its handle is never dropped.
    fn die(&mut self, who: usize) {
        if matches!(self, Self::Held(holder, _) if *holder == who) {
            let Self::Held(_, end) = std::mem::replace(self, Self::Dead(who)) else { return };
            let _ = ManuallyDrop::new(end);
        }
    }
}

/// What those who have held a side know of the session at the other one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Knows {
    Nothing,
    /// They have left in good order while it was there, or after it.
    Left,
    /// They were told of its end.
    Told,
}

fn id(judge: &ModelJudge) -> OwnerId {
    judge.me().expect("a participant")
}

struct Scene<'a> {
    judges: &'a [ModelJudge],
    pipes: Vec<Ring<'a>>,
    alive: [bool; PARTICIPANTS],
    /// What was committed and not released.
    items: VecDeque<u64>,
    capacity: usize,
    /// The next value to send: all are different.
    next: u64,
    sender: Side<Sender<u64, &'a ModelJudge>>,
    receiver: Side<Receiver<u64, &'a ModelJudge>>,
    /// Of the receiver's session.
    senders_know: Knows,
    /// Of the sender's.
    receivers_know: Knows,
    /// That the receiver is gone is old news to the sender, and the other way round.
    receiver_is_old: bool,
    sender_is_old: bool,
}

impl Scene<'_> {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(12) {
            0 => self.claim_sender(input.below(PARTICIPANTS)),
            1 => self.claim_receiver(input.below(PARTICIPANTS)),
            2 => self.send(),
            3 => self.receive(),
            4 => self.send_batch(input.below(ITEMS + 9)),
            5 => self.receive_batch(input.below(ITEMS + 9)),
            6 => self.reserve(input.below(ITEMS + 9), input.byte()),
            7 => self.peek(input.byte()),
            8 => self.die(input.below(PARTICIPANTS)),
            9 => match input.byte() % 4 {
                0 => self.sender.close(&mut self.senders_know),
                1 => {
                    let told = self.receiver_is_old;
                    self.sender
                        .hand_over(told, &mut self.senders_know, |end| end.hand_over().map(drop));
                }
                _ => {}
            },
            10 => match input.byte() % 4 {
                0 => self.receiver.close(&mut self.receivers_know),
                1 => {
                    let told = self.sender_is_old;
                    self.receiver
                        .hand_over(told, &mut self.receivers_know, |end| end.hand_over().map(drop));
                }
                _ => {}
            },
            _ => {
                assert_eq!(self.pipes[0].len(), self.items.len());
                assert_eq!(self.pipes[0].is_empty(), self.items.is_empty());
            }
        }
    }

    fn claim_sender(&mut self, who: usize) {
        if self.alive[who] {
            let claimed = self.pipes[who].sender();
            assert_eq!(
                claimed.as_ref().map(|_| ()).map_err(|e| *e),
                self.sender.claim(self.judges)
            );
            if let Ok(end) = claimed {
                if !matches!(self.sender, Side::Handed) {
                    self.receivers_know = Knows::Nothing;
                }
                let closed = matches!(self.sender, Side::Closed);
                self.receiver_is_old = self.receiver.is_old(self.senders_know, closed);
                self.sender_is_old = false;
                self.sender = Side::Held(who, end);
            }
        }
    }

    fn claim_receiver(&mut self, who: usize) {
        if self.alive[who] {
            let claimed = self.pipes[who].receiver();
            let expected = self.receiver.claim(self.judges);
            assert_eq!(claimed.as_ref().map(|_| ()).map_err(|e| *e), expected);
            if let Ok(end) = claimed {
                if !matches!(self.receiver, Side::Handed) {
                    self.senders_know = Knows::Nothing;
                }
                // With items that are left its end is news.
                let closed = matches!(self.receiver, Side::Closed);
                self.sender_is_old =
                    self.items.is_empty() && self.sender.is_old(self.receivers_know, closed);
                self.receiver_is_old = false;
                self.receiver = Side::Held(who, end);
            }
        }
    }

    /// One participant is always left, so that the input has something to say.
    fn die(&mut self, who: usize) {
        if self.alive.iter().filter(|alive| **alive).count() > 1 && self.alive[who] {
            self.alive[who] = false;
            self.judges[who].die();
            self.sender.die(who);
            self.receiver.die(who);
        }
    }

    fn send(&mut self) {
        let room = self.capacity - self.items.len();
        let Side::Held(_, sender) = &mut self.sender else { return };
        let value = self.next;
        let sent = sender.try_send(value).map_err(|refused| {
            assert_eq!(refused.value, value);
            refused.error
        });
        if self.expect_room(sent, room > 0) {
            self.items.push_back(value);
            self.next += 1;
        }
    }

    fn send_batch(&mut self, len: usize) {
        let room = self.capacity - self.items.len();
        let batch: Vec<u64> = (self.next..self.next + len as u64).collect();
        let Side::Held(_, sender) = &mut self.sender else { return };
        let sent = sender.try_send_batch(&batch);
        if len == 0 {
            assert_eq!(sent, Ok(0));
        } else if self.expect_room(sent.map(|_| ()), room > 0) {
            let sent = sent.expect("just checked");
            assert_eq!(sent, len.min(room));
            self.items.extend(&batch[..sent]);
            self.next += sent as u64;
        }
    }

    fn reserve(&mut self, len: usize, fill: u8) {
        let (capacity, room) = (self.capacity, self.capacity - self.items.len());
        let Side::Held(_, sender) = &mut self.sender else { return };
        let reserved = sender.try_reserve(len);
        if len > capacity {
            let error = PipeError::TooMany { wanted: len, capacity };
            assert_eq!(reserved.err(), Some(error));
            return;
        }
        let mut sent = Vec::new();
        let reserved = reserved.map(|mut slots| {
            assert_eq!(slots.len(), len);
            if fill >= 128 {
                let (near, far) = slots.as_mut_slices();
                near.iter_mut().chain(far).zip(self.next..).for_each(|(slot, value)| *slot = value);
            } else {
                (0..len).for_each(|at| slots.write(at, self.next + at as u64));
            }
            // A third is dropped without a commit.
            if !fill.is_multiple_of(3) {
                let count = usize::from(fill) % (len + 1);
                slots.commit(count).expect("it is ours");
                sent.extend(self.next..self.next + count as u64);
            }
        });
        self.expect_room(reserved, len <= room);
        self.next += sent.len() as u64;
        self.items.extend(sent);
    }

    fn receive(&mut self) {
        let Side::Held(_, receiver) = &mut self.receiver else { return };
        let got = receiver.try_recv();
        if self.expect_items(got.map(|_| ())) {
            assert_eq!(got.ok(), self.items.pop_front());
        }
    }

    fn receive_batch(&mut self, len: usize) {
        let mut batch = vec![u64::MAX; len];
        let Side::Held(_, receiver) = &mut self.receiver else { return };
        let got = receiver.try_recv_batch(&mut batch);
        if len == 0 {
            assert_eq!(got, Ok(0));
        } else if self.expect_items(got.map(|_| ())) {
            let got = got.expect("just checked");
            assert_eq!(got, len.min(self.items.len()));
            assert!(self.items.drain(..got).eq(batch.drain(..got)));
            assert!(batch.iter().all(|rest| *rest == u64::MAX), "more was written than received");
        }
    }

    fn peek(&mut self, release: u8) {
        let Side::Held(_, receiver) = &mut self.receiver else { return };
        let mut released = 0;
        let peeked = receiver.try_peek().map(|items| {
            assert!(items.iter().eq(self.items.iter().copied()));
            if !release.is_multiple_of(3) {
                released = usize::from(release) % (items.len() + 1);
                items.release(released).expect("it is ours");
            }
        });
        self.expect_items(peeked);
        self.items.drain(..released);
    }

    /// Checks what a sender was told, and returns whether it had what it wanted. That somebody died may be told later.
    fn expect_room(&mut self, got: Result<(), PipeError>, room: bool) -> bool {
        let end = self.receiver.end(self.judges, self.items.len());
        let expected = match end.filter(|_| !self.receiver_is_old) {
            Some(PipeError::Closed) => Err(PipeError::Closed),
            _ if room => Ok(()),
            Some(died) if got != Err(PipeError::Full) => Err(died),
            _ => Err(PipeError::Full),
        };
        assert_eq!(got, expected);
        if matches!(got, Err(PipeError::Closed | PipeError::PeerDied { .. })) {
            self.senders_know = Knows::Told;
        }
        got.is_ok()
    }

    /// As [`expect_room`](Self::expect_room), of a receiver.
    fn expect_items(&mut self, got: Result<(), PipeError>) -> bool {
        let end = self.sender.end(self.judges, 0);
        let expected = match end.filter(|_| !self.sender_is_old) {
            _ if !self.items.is_empty() => Ok(()),
            Some(PipeError::Closed) => Err(PipeError::Closed),
            Some(died) if got != Err(PipeError::Empty) => Err(died),
            _ => Err(PipeError::Empty),
        };
        assert_eq!(got, expected);
        if matches!(got, Err(PipeError::Closed | PipeError::PeerDied { .. })) {
            self.receivers_know = Knows::Told;
        }
        got.is_ok()
    }
}

/// A peer that writes anything to any word at any time: every operation ends, and touches no other byte.
fn wrong(input: &mut Input<'_>, region: Region<'_>, judges: &[ModelJudge]) {
    scribble(input, region);
    let len = match input.byte() % 4 {
        0 => input.number(),
        _ => region.read::<u64>(Offset::ZERO).expect("inside"),
    };
    // SAFETY: every bit pattern is a ring's words and items, and the memory is this run's alone.
    let attach = |judge| unsafe { Ring::attach(region, len, judge) };
    let (Ok(a), Ok(b)) = (attach(&judges[0]), attach(&judges[1])) else { return };
    assert!(a.capacity() <= ITEMS);
    let (mut sender, mut receiver) = (None, None);
    while !input.is_empty() {
        match input.below(10) {
            0 => sender = a.sender().ok(),
            1 => receiver = b.receiver().ok(),
            2 => scribble(input, region),
            3 => judges[2 + input.below(2)].die(),
            4 => drop(sender.take()),
            5 => drop(receiver.take()),
            _ => {}
        }
        assert!(a.len() <= a.capacity());
        if let Some(sender) = &mut sender {
            let _ = sender.try_send(1);
            let _ = sender.try_send_batch(&[2; 9]);
            if let Ok(mut slots) = sender.try_reserve(input.below(ITEMS + 9)) {
                let (near, far) = slots.as_mut_slices();
                assert!(near.len() + far.len() <= a.capacity());
                near.fill(3);
                far.fill(3);
                let len = slots.len();
                let _ = slots.commit(len);
            }
        }
        if let Some(receiver) = &mut receiver {
            let _ = receiver.try_recv();
            let mut batch = [0; 9];
            if let Ok(got) = receiver.try_recv_batch(&mut batch) {
                assert!((1..=9).contains(&got));
            }
            if let Ok(items) = receiver.try_peek() {
                assert!(items.iter().count() <= b.capacity());
                let len = items.len();
                let _ = items.release(len);
            }
        }
    }
}

/// Writes to the words of the ring, as a peer may who is wrong.
fn scribble(input: &mut Input<'_>, region: Region<'_>) {
    for at in U64S {
        match input.byte() % 4 {
            0 => {}
            1 => {
                // Often a capacity, and often a distance that is just possible or just not.
                let value = 1_u64 << input.below(8);
                region.write(Offset::new(at).expect("aligned"), value).expect("inside");
            }
            2 => {
                let other = region.read::<u64>(Offset::new(384 - at.max(128)).expect("aligned"));
                let value = other.expect("inside").wrapping_add(input.number());
                region.write(Offset::new(at).expect("aligned"), value).expect("inside");
            }
            _ => region.write(Offset::new(at).expect("aligned"), input.number()).expect("inside"),
        }
    }
    for at in U32S {
        let value = match input.byte() % 4 {
            0 => continue,
            // An id that may be somebody's, with or without the bits above it.
            1 => {
                (1 << 10 | input.below(PARTICIPANTS + 2)) as u32
                    | u32::from(input.byte() >> 6) << 30
            }
            _ => input.number() as u32,
        };
        region.write(Offset::new(at).expect("aligned"), value).expect("inside");
    }
}
