//! A receiver accepts one sender after the other.

use shmkit_roster::Judge;

use super::*;

/// Accepts whoever is there, and receives to the end of what it sends; returns who it was.
fn serve(ring: &Ring, end: &mut Receiver<'_>, judge: &ModelJudge, all: &mut Vec<u64>) -> u32 {
    let peer = end.accept(judge, Deadline::NEVER).unwrap().peer;
    loop {
        match ring.recv(end, judge) {
            Ok(value) => all.push(value),
            Err(PipeError::Closed) => return peer.get(),
            Err(other) => panic!("{other}"),
        }
    }
}

/// A server accepts a client that has left, while the next one comes: each has its own items.
#[test]
fn who_comes_while_another_is_accepted_is_not_mixed_with_it() {
    model_of_two(|| {
        let [a, b, c] = judges();
        let ids = [&a, &b].map(|judge| judge.me().unwrap().get());
        let ring = Ring::new(4);
        let mut end = ring.receiver(&c).unwrap();
        let mut first = ring.sender(&a).unwrap();
        ring.send(&mut first, &a, 1).unwrap();
        first.close(&a);
        let coming = {
            let ring = ring.clone();
            thread::spawn(move || {
                let mut second = ring.sender(&b).unwrap();
                ring.send(&mut second, &b, 2).unwrap();
                second.close(&b);
            })
        };
        let mut all = Vec::new();
        if serve(&ring, &mut end, &c, &mut all) == ids[0] {
            assert_eq!(all, [1]);
            assert_eq!(serve(&ring, &mut end, &c, &mut all), ids[1]);
            assert_eq!(all, [1, 2]);
        } else {
            assert_eq!(all, [2], "what the first one has left is not met");
        }
        coming.join().unwrap();
    });
}
