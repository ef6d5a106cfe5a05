//! An end goes from one holder to the next while the other side is at work.

use super::*;

#[test]
fn a_sender_that_is_handed_over_leaves_no_end_between() {
    model_of_two(|| {
        let [a, b, c] = judges();
        let ring = Ring::new(1);
        let sending = {
            let ring = ring.clone();
            thread::spawn(move || {
                let mut end = ring.sender(&a).unwrap();
                ring.send(&mut end, &a, 1).unwrap();
                end.hand_over(&a).unwrap();
                end.close(&a); // It is nobody's to close.
                let mut end = ring.sender(&b).unwrap();
                ring.send(&mut end, &b, 2).unwrap();
                end.close(&b);
            })
        };
        let mut end = ring.receiver(&c).unwrap();
        assert_eq!(ring.recv(&mut end, &c), Ok(1));
        assert_eq!(ring.recv(&mut end, &c), Ok(2), "and no end before it");
        assert_eq!(ring.recv(&mut end, &c), Err(PipeError::Closed));
        sending.join().unwrap();
    });
}

#[test]
fn a_receiver_that_is_handed_over_is_missed_by_no_sender() {
    model_of_two(|| {
        let [a, b, c] = judges();
        let ring = Ring::new(1);
        let receiving = {
            let ring = ring.clone();
            thread::spawn(move || {
                let mut end = ring.receiver(&a).unwrap();
                assert_eq!(ring.recv(&mut end, &a), Ok(1));
                end.hand_over(&a).unwrap();
                let mut end = ring.receiver(&b).unwrap();
                assert_eq!(ring.recv(&mut end, &b), Ok(2));
                end.close(&b);
            })
        };
        let mut end = ring.sender(&c).unwrap();
        for value in 1..=2 {
            ring.send(&mut end, &c, value).unwrap();
        }
        receiving.join().unwrap();
    });
}

#[test]
fn what_is_handed_over_is_claimed_by_one_who_goes_on_behind_it() {
    loom::model(|| {
        let [a, b, c, d] = judges();
        let ring = Ring::new(8);
        let mut sender = ring.sender(&d).unwrap();
        ring.send(&mut sender, &d, 1).unwrap();
        let mut end = ring.receiver(&a).unwrap();
        let claiming = {
            let ring = ring.clone();
            // It may come before the hand-over, and be refused.
            thread::spawn(move || ring.receiver(&b).is_ok_and(|end| end.index() == 1))
        };
        // Of one item of eight nobody is told: only the hand-over orders it.
        assert_eq!(ring.recv(&mut end, &a), Ok(1));
        end.hand_over(&a).unwrap();
        let here = ring.receiver(&c).is_ok_and(|end| end.index() == 1);
        assert!(claiming.join().unwrap() != here, "two have it, or nobody, or not from there on");
    });
}
