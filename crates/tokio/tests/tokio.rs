//! The ends of pipes and queues in runtimes of one thread and of several; with other processes, see the workspace's `tests/ipc`.

#[path = "shared/place.rs"]
mod place;

use std::future::Future;
use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures_core::Stream;
use shmkit_pipe::PipeError;
use shmkit_roster::Judge as _;
use shmkit_tokio::Async;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Builder;
use tokio::time::timeout;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(3);

/// Runs what a test does in both kinds of runtimes.
fn both<F: Future<Output = ()>>(test: impl Fn() -> F) {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let runtime = builder.worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async { timeout(LIMIT, test()).await.expect("it takes too long") });
    }
}

fn message(number: usize) -> Vec<u8> {
    vec![number as u8; if number.is_multiple_of(50) { 10_000 } else { number % 90 }]
}

#[test]
fn messages_come_in_order_long_ones_too_and_then_the_end() {
    both(|| async {
        let frames = place::frames(1024);
        let mut sender = Async::new(frames.sender().unwrap()).unwrap();
        let mut receiver = Async::new(frames.receiver().unwrap()).unwrap();
        let sending = tokio::spawn(async move {
            for number in 0..1000 {
                sender.send(&message(number)).await.unwrap();
            }
        });
        for number in 0..1000 {
            assert_eq!(receiver.recv().await.unwrap(), Some(message(number)));
        }
        sending.await.unwrap();
        assert_eq!(receiver.recv().await.unwrap(), None);
        assert_eq!(receiver.recv().await.unwrap(), None);
    });
}

#[test]
fn a_receiver_that_sleeps_is_woken_by_each_message() {
    both(|| async {
        let frames = place::frames(1024);
        let mut sender = frames.sender().unwrap();
        let mut receiver = Async::new(frames.receiver().unwrap()).unwrap();
        let (told, telling) = std::sync::mpsc::channel();
        // A thread that knows no runtime.
        let sending = std::thread::spawn(move || {
            for number in telling {
                sender.send(&message(number)).unwrap();
            }
        });
        for number in 1..50 {
            // It is polled until it sleeps, and given up.
            assert!(timeout(SHORT, receiver.recv()).await.is_err());
            told.send(number).unwrap();
            assert_eq!(receiver.recv().await.unwrap(), Some(message(number)));
        }
        drop(told);
        assert_eq!(receiver.recv().await.unwrap(), None);
        sending.join().unwrap();
    });
}

#[test]
fn what_is_cancelled_loses_nothing() {
    both(|| async {
        let frames = place::frames(1024);
        let mut sender = Async::new(frames.sender().unwrap()).unwrap();
        let mut receiver = Async::new(frames.receiver().unwrap()).unwrap();
        let sending = tokio::spawn(async move {
            for number in 0..500 {
                sender.send(&message(number)).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        for number in 0..500 {
            let received = loop {
                tokio::select! {
                    biased;
                    () = tokio::task::yield_now() => {}
                    received = receiver.recv() => break received,
                }
            };
            assert_eq!(received.unwrap(), Some(message(number)));
        }
        sending.await.unwrap();
    });
}

#[test]
fn a_long_message_that_is_cancelled_is_nobodys() {
    both(|| async {
        let frames = place::frames(1024);
        let mut sender = Async::new(frames.sender().unwrap()).unwrap();
        let mut receiver = Async::new(frames.receiver().unwrap()).unwrap();
        assert!(timeout(SHORT, sender.send(&[1; 100_000])).await.is_err());
        assert!(timeout(SHORT, receiver.recv()).await.is_err());
        sender.send(b"next").await.unwrap();
        assert_eq!(receiver.recv().await.unwrap().as_deref(), Some(&b"next"[..]));
    });
}

#[test]
fn values_go_through_a_full_pipe_and_are_a_stream() {
    both(|| async {
        let pipe = place::pipe::<u64>(4);
        let mut sender = Async::new(pipe.sender().unwrap()).unwrap();
        let mut receiver = Async::new(pipe.receiver().unwrap()).unwrap();
        let sending = tokio::spawn(async move {
            for value in 0..1000 {
                sender.send(value).await.unwrap();
            }
        });
        assert_eq!(receiver.recv().await.unwrap(), Some(0));
        for value in 1..1000 {
            let next = std::future::poll_fn(|context| Pin::new(&mut receiver).poll_next(context));
            assert_eq!(next.await.unwrap().unwrap(), value);
        }
        assert_eq!(receiver.recv().await.unwrap(), None);
        sending.await.unwrap();
    });
}

#[test]
fn bytes_are_read_and_written() {
    both(|| async {
        let pipe = place::pipe::<u8>(256);
        let mut sender = Async::new(pipe.sender().unwrap()).unwrap();
        let mut receiver = Async::new(pipe.receiver().unwrap()).unwrap();
        let sending = tokio::spawn(async move {
            sender.write_all(&[7; 10_000]).await.unwrap();
            sender.write_all(b"end").await.unwrap();
            sender.flush().await.unwrap();
            sender.shutdown().await.unwrap();
        });
        let mut read = Vec::new();
        receiver.read_to_end(&mut read).await.unwrap();
        assert!(read.len() == 10_003 && read.ends_with(b"\x07end"), "{}", read.len());
        sending.await.unwrap();
    });
}

#[test]
fn items_go_through_a_full_queue_and_come_to_its_end() {
    both(|| async {
        let queue = place::queue(2);
        let mut putter = Async::new(queue).unwrap();
        let mut taker = Async::new(queue).unwrap();
        let putting = tokio::spawn(async move {
            for item in 0..500 {
                putter.put(item).await.unwrap();
            }
            putter.get_ref().close().unwrap();
            assert!(putter.put(500).await.is_err());
        });
        for item in 0..500 {
            assert_eq!(taker.get().await.unwrap(), Some(item));
        }
        assert_eq!(taker.get().await.unwrap(), None);
        putting.await.unwrap();
    });
}

#[test]
fn a_death_is_told() {
    both(|| async {
        let (frames, judges) = place::frames_of_two(1024);
        let sender = frames[0].sender().unwrap();
        let mut receiver = Async::new(frames[1].receiver().unwrap()).unwrap();
        let mut waiting = pin!(receiver.recv());
        assert!(timeout(SHORT, &mut waiting).await.is_err());
        judges[0].die();
        let error = waiting.await.unwrap_err();
        let why = error.get_ref().unwrap().downcast_ref::<PipeError>();
        assert_eq!(why, Some(&PipeError::PeerDied { peer: judges[0].me().unwrap(), left: 0 }));
        std::mem::forget(sender);
    });
}

#[test]
fn errors_of_the_ends_are_in_those_of_the_runtime() {
    both(|| async {
        let frames = place::frames(1024);
        let mut receiver = Async::new(frames.receiver().unwrap()).unwrap();
        let mut sender = frames.sender().unwrap();
        sender.send(&[1; 100]).unwrap();
        receiver.get_mut().set_limit(10);
        let error = receiver.recv().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let why = error.get_ref().unwrap().downcast_ref::<PipeError>();
        assert_eq!(why, Some(&PipeError::TooLong { length: 100, limit: 10 }));
        receiver.into_inner().discard().unwrap();
    });
}

#[test]
fn a_sender_is_a_sink_that_waits_for_room() {
    use futures_sink::Sink;
    use std::future::poll_fn;

    both(|| async {
        let pipe = place::pipe::<u64>(4);
        let mut sink = Async::new(pipe.sender().unwrap()).unwrap();
        let mut receiver = Async::new(pipe.receiver().unwrap()).unwrap();
        let sending = tokio::spawn(async move {
            for value in 0..1000 {
                poll_fn(|context| Sink::poll_ready(Pin::new(&mut sink), context)).await.unwrap();
                Pin::new(&mut sink).start_send(value).unwrap();
            }
            poll_fn(|context| Pin::new(&mut sink).poll_close(context)).await.unwrap();
        });
        for value in 0..1000 {
            assert_eq!(receiver.recv().await.unwrap(), Some(value));
        }
        sending.await.unwrap();
        assert_eq!(receiver.recv().await.unwrap(), None);
    });
}

#[test]
fn a_sender_of_messages_is_a_sink_of_long_ones_too() {
    use futures_sink::Sink;
    use std::future::poll_fn;

    both(|| async {
        let frames = place::frames(1024);
        let mut sink = Async::new(frames.sender().unwrap()).unwrap().into_sink::<Vec<u8>>();
        let mut receiver = Async::new(frames.receiver().unwrap()).unwrap();
        let sending = tokio::spawn(async move {
            for number in 0..1000 {
                poll_fn(|context| Pin::new(&mut sink).poll_ready(context)).await.unwrap();
                Pin::new(&mut sink).start_send(message(number)).unwrap();
            }
            poll_fn(|context| Pin::new(&mut sink).poll_close(context)).await.unwrap();
        });
        for number in 0..1000 {
            assert_eq!(receiver.recv().await.unwrap(), Some(message(number)));
        }
        sending.await.unwrap();
        assert_eq!(receiver.recv().await.unwrap(), None);
    });
}

#[test]
fn a_sink_keeps_one_message_and_tells_why_it_cannot_send_it() {
    use futures_sink::Sink;
    use std::future::poll_fn;

    both(|| async {
        let frames = place::frames(1024);
        let mut sink = Async::new(frames.sender().unwrap()).unwrap().into_sink::<Vec<u8>>();
        let receiver = frames.receiver().unwrap();
        // It is longer than the pipe, and nobody receives.
        Pin::new(&mut sink).start_send(vec![1; 10_000]).unwrap();
        let second = Pin::new(&mut sink).start_send(vec![2]).unwrap_err();
        assert_eq!(second.kind(), ErrorKind::InvalidInput);
        drop(receiver);
        let error = poll_fn(|context| Pin::new(&mut sink).poll_flush(context)).await.unwrap_err();
        let why = error.get_ref().unwrap().downcast_ref::<PipeError>();
        assert_eq!(why, Some(&PipeError::Closed));
        // It is given up; the next receiver gets the next one.
        let mut receiver = Async::new(frames.receiver().unwrap()).unwrap();
        poll_fn(|context| Pin::new(&mut sink).poll_ready(context)).await.unwrap();
        Pin::new(&mut sink).start_send(vec![3]).unwrap();
        // What has gone of the first one is in its way until it is received, and told of.
        let flushed = poll_fn(|context| Pin::new(&mut sink).poll_flush(context));
        let receive = async {
            match receiver.recv().await {
                Err(_) => receiver.recv().await,
                received => received,
            }
        };
        let (flushed, received) = tokio::join!(flushed, receive);
        flushed.unwrap();
        assert_eq!(received.unwrap(), Some(vec![3]));
    });
}

#[test]
fn messages_go_through_a_queue_and_wait_for_its_memory() {
    both(|| async {
        let (here, there) = place::messages(3);
        let (mut here, mut there) = (Async::new(here).unwrap(), Async::new(there).unwrap());
        let putting = tokio::spawn(async move {
            for number in 0..200 {
                // Two of the long ones do not fit.
                let len = if number % 5 == 0 { 70_000 } else { number };
                here.put(&vec![number as u8; len]).await.unwrap();
            }
            here.get_ref().close().unwrap();
        });
        for number in 0..200_usize {
            let found = there.get().await.unwrap().unwrap();
            assert_eq!(found.len(), if number % 5 == 0 { 70_000 } else { number });
            assert!(found.iter().all(|byte| *byte == number as u8));
        }
        putting.await.unwrap();
        assert_eq!(there.get().await.unwrap(), None);
    });
}
