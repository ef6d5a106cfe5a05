//! The two ends in one process: what is allowed, what is refused, what is left behind.
#![cfg(not(loom))]

mod ends;
mod forms;
mod news;
mod sessions;
mod waiting;

use std::ptr::NonNull;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use shmkit_layout::{Object, Offset, Region, ShapeError};
use shmkit_pipe::{ClaimError, Pipe, PipeError, RawRing};
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, OwnerId, Verdict};

/// Aligned, zeroed bytes.
#[repr(C, align(128))]
struct Bytes([u8; 4096]);

impl Bytes {
    fn new() -> Box<Self> {
        Box::new(Self([0; 4096]))
    }

    fn region(&mut self) -> Region<'_> {
        // SAFETY: borrowed mutably for as long as the region.
        unsafe { Region::from_raw_parts(NonNull::from(&mut self.0).cast(), 4096) }
    }
}

type Ring<'a, J = ModelJudge> = Pipe<u64, &'a J>;

fn init<'a>(region: Region<'a>, capacity: u64, judge: &'a ModelJudge) -> Ring<'a> {
    // SAFETY: the bytes are zero, and this test's alone.
    unsafe { Ring::init(region, capacity, judge) }.unwrap()
}

fn attach<'a, J: Judge>(region: Region<'a>, judge: &'a J) -> Ring<'a, J> {
    let len = region.read::<u64>(Offset::ZERO).unwrap();
    // SAFETY: made by `init`.
    unsafe { Ring::attach(region, len, judge) }.unwrap()
}

/// Runs `scene` with a region, a pipe of `capacity` in it, and the judges of three participants, the first of which
/// made the pipe.
fn scene(capacity: u64, scene: impl FnOnce(Region<'_>, &[ModelJudge])) {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    init(region, capacity, &judges[0]);
    scene(region, &judges);
}

fn id(judge: &ModelJudge) -> OwnerId {
    judge.me().unwrap()
}

#[test]
fn a_capacity_is_rounded_up() {
    scene(5, |region, judges| {
        let pipe = attach(region, &judges[1]);
        assert_eq!(pipe.capacity(), 8);
        assert!(pipe.is_empty());
        let shape = <Ring<'_> as Object<_>>::shape(&5, 2).unwrap();
        assert_eq!((shape.len, shape.bytes, shape.align), (8, 512 + 64, 128));
        assert_eq!(shape.to_string(), "pipe of u64 (8 bytes), length 8");
    });
}

#[test]
fn an_absurd_capacity_is_refused() {
    let shape = |spec| <Ring<'_> as Object<_>>::shape(&spec, 2);
    for spec in [0, (1 << 32) + 1, u64::MAX] {
        let error = shape(spec).unwrap_err();
        assert_eq!(error, ShapeError::Length { found: spec, min: 1, max: 1 << 32 });
    }
    assert_eq!(shape(1 << 32).unwrap().len, 1 << 32);
    // As many as fit in 64 TiB.
    type Page = [u8; 1 << 20];
    let error = <Pipe<Page, &ModelJudge> as Object<_>>::shape(&(1 << 27), 2).unwrap_err();
    assert_eq!(error, ShapeError::Length { found: 1 << 27, min: 1, max: 1 << 26 });
}

#[test]
fn what_is_no_such_pipe_is_refused() {
    scene(8, |region, judges| {
        // SAFETY: an error is expected; every bit pattern is a ring's words.
        let attach = |region, len| unsafe { Ring::attach(region, len, &judges[0]) }.map(|_| ());
        assert_eq!(
            attach(region, 16),
            Err(ShapeError::Corrupt { field: "capacity", found: 8 }),
            "the directory and the ring disagree"
        );
        assert!(matches!(attach(region, 7), Err(ShapeError::Length { found: 7, .. })));
        assert!(matches!(attach(region, 0), Err(ShapeError::Length { found: 0, .. })));
        assert!(matches!(attach(region.sub(0, 575).unwrap(), 8), Err(ShapeError::Place(_))));
        assert!(matches!(attach(region.sub(64, 3000).unwrap(), 8), Err(ShapeError::Place(_))));
        assert_eq!(attach(region.sub(0, 576).unwrap(), 8), Ok(()));
    });
}

#[test]
fn items_wrap_around_in_order() {
    scene(4, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        for n in 0..100 {
            for i in 0..3 {
                sender.send(3 * n + i).unwrap();
            }
            for i in 0..3 {
                assert_eq!(receiver.recv(), Ok(3 * n + i));
            }
        }
        assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
    });
}

#[test]
fn a_full_pipe_gives_the_value_back() {
    scene(2, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let _receiver = attach(region, &judges[1]).receiver().unwrap();
        assert_eq!(sender.try_send_batch(&[1, 2, 3]), Ok(2));
        let refused = sender.try_send(3).unwrap_err();
        assert_eq!((refused.value, refused.error), (3, PipeError::Full));
        assert_eq!(refused.to_string(), "the value was not sent");
        assert_eq!(sender.try_send_batch(&[3]), Err(PipeError::Full));
        let refused = sender.send_timeout(3, Duration::from_millis(3)).unwrap_err();
        assert_eq!((refused.value, refused.error), (3, PipeError::TimedOut));
        let refused = sender.send_all_timeout(&[3, 4], Duration::from_millis(3)).unwrap_err();
        assert_eq!((refused.sent, refused.error), (0, PipeError::TimedOut));
        assert_eq!(sender.try_send_batch(&[]), Ok(0));
    });
}

#[test]
fn an_empty_pipe_times_out() {
    scene(2, |region, judges| {
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        let start = Instant::now();
        assert_eq!(receiver.recv_timeout(Duration::from_millis(20)), Err(PipeError::TimedOut));
        assert!(start.elapsed() >= Duration::from_millis(20));
        assert_eq!(receiver.recv_deadline(start), Err(PipeError::TimedOut), "it has passed");
        assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
        assert_eq!(receiver.try_recv_batch(&mut [0; 3]), Err(PipeError::Empty));
        assert_eq!(receiver.try_recv_batch(&mut []), Ok(0));
        assert_eq!(receiver.try_peek().map(|_| ()), Err(PipeError::Empty));
    });
}

#[test]
fn batches_of_every_length_pass_the_seam() {
    scene(8, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        let mut next = 0;
        for len in (0..=8).cycle().take(100) {
            let batch: Vec<u64> = (next..next + len).collect();
            sender.send_all(&batch).unwrap();
            let mut got = [0; 20];
            assert_eq!(receiver.try_recv_batch(&mut got[..len as usize]), Ok(len as usize));
            assert_eq!(got[..len as usize], batch);
            next += len;
        }
    });
}

#[test]
fn a_batch_larger_than_the_pipe_waits_for_the_receiver() {
    scene(4, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        let all: Vec<u64> = (0..1000).collect();
        thread::scope(|scope| {
            scope.spawn(|| {
                sender.send_all(&all).unwrap();
                sender.close();
            });
            let got: Result<Vec<u64>, _> = receiver.iter().collect();
            assert_eq!(got.as_ref(), Ok(&all));
        });
    });
}

#[test]
fn slots_are_invisible_until_they_are_committed() {
    scene(4, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        // Move to the seam.
        sender.send_all(&[0; 3]).unwrap();
        assert_eq!(receiver.recv_batch(&mut [9; 3]), Ok(3));

        {
            let mut slots = sender.reserve(4).unwrap();
            assert_eq!(slots.len(), 4);
            let (near, far) = slots.as_mut_slices();
            assert_eq!((near.len(), far.len()), (1, 3));
            near[0] = 10;
            far[0] = 11;
            slots.write(2, 12);
            assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
        }
        assert_eq!(receiver.try_recv(), Err(PipeError::Empty), "nothing was committed");

        let slots = sender.reserve(4).unwrap();
        slots.commit(3).unwrap();
        assert_eq!([receiver.recv(), receiver.recv(), receiver.recv()], [Ok(10), Ok(11), Ok(12)]);
        assert_eq!(receiver.try_recv(), Err(PipeError::Empty));

        sender.reserve(0).unwrap().commit(0).unwrap();
        let error = sender.reserve(5).unwrap_err();
        assert_eq!(error, PipeError::TooMany { wanted: 5, capacity: 4 });
        sender.send(1).unwrap();
        assert_eq!(sender.try_reserve(4).unwrap_err(), PipeError::Full);
        let error = sender.reserve_timeout(4, Duration::from_millis(2)).unwrap_err();
        assert_eq!(error, PipeError::TimedOut);
    });
}

#[test]
#[should_panic(expected = "place 2 of 2 was written")]
fn a_place_outside_the_loan_cannot_be_written() {
    scene(4, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        sender.reserve(2).unwrap().write(2, 1);
    });
}

#[test]
fn peeked_items_stay_until_they_are_released() {
    scene(4, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        sender.send_all(&[1, 2, 3, 4]).unwrap();
        assert_eq!(receiver.peek().unwrap().len(), 4);
        let items = receiver.try_peek().unwrap();
        assert_eq!(items.iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(sender.try_send(5).unwrap_err().error, PipeError::Full);
        items.release(3).unwrap();
        sender.send_all(&[5, 6]).unwrap();
        let items = receiver.peek_timeout(Duration::from_secs(1)).unwrap();
        assert_eq!(items.as_slices(), (&[4][..], &[5, 6][..]));
        items.release(0).unwrap();
        assert_eq!(receiver.recv(), Ok(4));
    });
}

#[test]
fn a_place_is_free_as_soon_as_its_item_was_received() {
    // The receiver returns places by the quarter.
    scene(16, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        sender.send_all(&[0; 16]).unwrap();
        for n in 1..100 {
            assert_eq!(sender.try_send(n).unwrap_err().error, PipeError::Full);
            receiver.recv().unwrap();
            assert_eq!(sender.try_send(n), Ok(()));
        }
    });
}

#[test]
fn items_that_come_alone_are_as_whole_as_others() {
    // Copies travel with the position after some of them, and are left out after a few together.
    scene(16, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        let mut next = 0;
        for together in (0..200).map(|round| if round % 7 == 6 { 3 } else { 1 }) {
            for number in next..next + together {
                sender.send(number).unwrap();
            }
            for number in next..next + together {
                assert_eq!(receiver.recv(), Ok(number));
            }
            next += together;
        }
    });
}

#[test]
fn wrong_positions_are_noticed_at_every_load() {
    let at_head = Offset::<u64>::new(128).unwrap();
    let at_tail = Offset::<u64>::new(256).unwrap();
    let field = "distance from head to tail";
    scene(4, |region, judges| {
        let [a, b] = [0, 1].map(|i| attach(region, &judges[i]));
        let mut sender = a.sender().unwrap();
        let mut receiver = b.receiver().unwrap();
        sender.send_all(&[1, 2, 3, 4]).unwrap();
        for (head, found) in [(5, u64::MAX), (u64::MAX, 5), (1 << 40, 4_u64.wrapping_sub(1 << 40))]
        {
            region.write(at_head, head).unwrap();
            let error = PipeError::Corrupt { field, found };
            assert_eq!(sender.try_send(5).unwrap_err().error, error);
            assert_eq!(sender.send(5).unwrap_err().error, error);
        }
        region.write(at_tail, 5_u64).unwrap();
        let error = PipeError::Corrupt { field, found: 5 };
        assert_eq!(receiver.recv(), Err(error));
        assert_eq!(receiver.peek().map(|_| ()), Err(error));
        assert_eq!(
            error.to_string(),
            "the pipe is corrupt: its distance from head to tail is 0x5, which no peer of this version writes; make the pipe anew"
        );
        drop((sender, receiver));
        region.write(at_head, 6_u64).unwrap();
        let error = ClaimError::Corrupt { field, found: u64::MAX };
        assert_eq!(a.sender().unwrap_err(), error);
        assert_eq!(b.receiver().unwrap_err(), error, "and it was given back");
        region.write(at_head, 4_u64).unwrap();
        a.sender().unwrap();
        // A role that nobody can have.
        region.write(Offset::<u32>::new(8).unwrap(), 7_u32).unwrap();
        assert_eq!(a.sender().unwrap_err(), ClaimError::Corrupt { field: "holder", found: 7 });
        let mut receiver = b.receiver().unwrap();
        assert_eq!(receiver.recv(), Ok(1), "an item there is, in the first place");
        assert_eq!(receiver.recv(), Err(PipeError::Corrupt { field: "holder", found: 7 }));
    });
}

#[test]
fn a_sleeper_is_woken_in_time() {
    // Both to and fro: the sleeps are real, since each side gives the other the time to fall asleep.
    scene(1, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                for i in 0..200 {
                    if i % 3 == 0 {
                        thread::sleep(Duration::from_micros(300));
                    }
                    sender.send(i).unwrap();
                }
            });
            for i in 0..200 {
                if i % 5 == 0 {
                    thread::sleep(Duration::from_micros(300));
                }
                assert_eq!(receiver.recv(), Ok(i));
            }
            assert_eq!(receiver.recv(), Err(PipeError::Closed));
        });
    });
}

#[test]
fn the_words_show_themselves() {
    scene(4, |region, judges| {
        let pipe = attach(region, &judges[0]);
        let _sender = pipe.sender().unwrap();
        assert_eq!(
            format!("{pipe:?}"),
            "Pipe { capacity: 4, len: 0, sending: Some(OwnerId(1)), receiving: None }"
        );
        let ring = region.get::<RawRing>(Offset::ZERO).unwrap();
        assert!(format!("{ring:?}").starts_with("RawRing { capacity: 4, len: 0"));
    });
}
