//! Archives, read where they lie.

use std::error::Error;

use rkyv::rancor;

use super::*;

type Order = (Vec<String>, Option<f64>);

fn order() -> Order {
    (vec!["burger".into(), "a drink that is longer than what lies inside".into()], Some(4.5))
}

fn archive() -> Vec<u8> {
    rkyv::to_bytes::<rancor::Error>(&order()).unwrap().to_vec()
}

#[test]
fn an_archive_is_read_where_it_lies_and_a_streamed_one_too() {
    both(1024, |mut sender, mut receiver| {
        // Over the end of the ring and back.
        for _ in 0..40 {
            sender.send(&archive()).unwrap();
            let message = receiver.peek().unwrap();
            // SAFETY: nobody writes to it.
            let found = unsafe { message.archived::<Order>() }.unwrap();
            assert_eq!((found.0[1].as_str(), found.0.len()), (order().0[1].as_str(), 2));
            assert_eq!(found.1.as_ref().map(|price| price.to_native()), Some(4.5));
            message.release().unwrap();
        }
        let long: Vec<u64> = (0..10_000).collect();
        let bytes = rkyv::to_bytes::<rancor::Error>(&long).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| sender.send(&bytes).unwrap());
            let message = receiver.peek().unwrap();
            // SAFETY: as above.
            let found = unsafe { message.archived::<Vec<u64>>() }.unwrap();
            assert!(found.iter().map(|number| number.to_native()).eq(0..10_000));
            message.release().unwrap();
        });
    });
}

#[test]
fn what_is_no_archive_of_the_type_says_so_and_is_still_to_be_received() {
    both(1024, |mut sender, mut receiver| {
        sender.send(b"short").unwrap();
        let message = receiver.peek().unwrap();
        // SAFETY: nobody writes to it.
        let error = unsafe { message.archived::<Order>() }.unwrap_err();
        assert!(error.to_string().contains("String") && error.source().is_some(), "{error}");
        drop(message);
        assert_eq!(receiver.recv(), Ok(b"short".to_vec()));
    });
}

#[test]
fn an_archive_with_any_byte_changed_is_read_or_refused() {
    both(1024, |mut sender, mut receiver| {
        let whole = archive();
        for at in 0..whole.len() {
            for bits in [1, 0x80, 0xff] {
                let mut wrong = whole.clone();
                wrong[at] ^= bits;
                sender.send(&wrong).unwrap();
                let message = receiver.peek().unwrap();
                // SAFETY: nobody writes to it.
                if let Ok(found) = unsafe { message.archived::<Order>() } {
                    // All that it leads to lies inside.
                    let all: usize = found.0.iter().map(|text| text.chars().count()).sum();
                    assert!(all <= whole.len());
                }
                message.release().unwrap();
            }
        }
    });
}
