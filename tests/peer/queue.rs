//! A peer at a queue.

use std::time::Duration;

use shmkit::{Delivery, Lease, ObjectError, Objects, Queue, QueueSpec, Segment};

use crate::Channel;

/// Longer than any machine takes.
const LONG: Duration = Duration::from_secs(120);

/// Items of the queue: Python's tests have as many.
pub const CAPACITY: u64 = 6;

/// Makes the queue, or finds it.
///
/// # Errors
///
/// Those of a segment.
pub fn make(segment: &Segment, delivery: Delivery) -> Result<Queue<u64>, ObjectError> {
    make_by(segment, QueueSpec::new(CAPACITY).delivery(delivery))
}

/// The same, as `spec` says.
///
/// # Errors
///
/// Those of a segment.
pub fn make_by(segment: &Segment, spec: QueueSpec) -> Result<Queue<u64>, ObjectError> {
    segment.queue("queue", spec)
}

/// The scripts of a peer that has joined its segment.
///
/// # Panics
///
/// If there is no such script, or the script finds something wrong.
pub(crate) fn play(script: &str, args: &[String], segment: &Segment, channel: &mut Channel) {
    let queue: Queue<u64> = segment.find("queue").expect("made by the test");
    match script {
        "put" => {
            let [first, last] = [0, 1].map(|i| args[i].parse::<u64>().expect("a number"));
            for value in first..last {
                queue.put(value).expect("put");
            }
        }
        "obey" => obey(&queue, channel),
        "work" => work(&queue, channel),
        "sleep" => sleep(&queue, args[0].parse().expect("a number"), channel),
        _ => panic!("no script queue/{script}"),
    }
}

/// Takes items until there are no more, says each, and is done with it when it was heard.
fn work(queue: &Queue<u64>, channel: &mut Channel) {
    channel.say("ready");
    while let Ok(lease) = queue.take() {
        channel.say(&lease.to_string());
        channel.hear();
        lease.done().expect("done");
    }
}

/// So many threads get an item each; says their sum when all have.
fn sleep(queue: &Queue<u64>, threads: u32, channel: &mut Channel) {
    let sum = std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| queue.get_timeout(LONG).expect("an item for each")))
            .collect();
        channel.say("ready");
        all.into_iter().map(|one| one.join().expect("no panic")).sum::<u64>()
    });
    channel.say(&sum.to_string());
}

/// Does as it is told, and says what came of it.
fn obey(queue: &Queue<u64>, channel: &mut Channel) {
    let mut lease: Option<Lease<'_, u64>> = None;
    channel.say("ready");
    loop {
        let line = channel.hear();
        let (word, arg) = line.split_once(' ').unwrap_or((&line, "0"));
        let number = arg.parse::<u64>().expect("a number");
        let wait = Duration::from_millis(number);
        let answer = match word {
            "put" => format!("{:?}", queue.put(number).map_err(|e| e.error)),
            "get" => format!("{:?}", queue.get()),
            "get-for" => format!("{:?}", queue.get_timeout(wait)),
            "try-get" => format!("{:?}", queue.try_get()),
            "take" => {
                lease = Some(queue.take().expect("take"));
                format!("{:?}", lease.as_deref())
            }
            "done" => format!("{:?}", lease.take().expect("taken").done()),
            "give-back" => format!("{:?}", lease.take().expect("taken").give_back()),
            "join" => format!("{:?}", queue.join()),
            "close" => format!("{:?}", queue.close()),
            "end" => return,
            _ => panic!("no command {word}"),
        };
        channel.say(&answer);
    }
}
