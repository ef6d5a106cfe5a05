//! Values as messages.
#![cfg(feature = "serde")]

use std::io::{Error, ErrorKind};

use shmkit_connection::{Connection, ConnectionError, ValueError};

#[test]
fn pip_01_a_value_arrives_as_it_was() {
    let (mut one, mut other) = Connection::pair().unwrap();
    let value = (true, -7_i64, "text".to_owned(), vec![Some(1.5), None]);
    one.send_value(&value).unwrap();
    assert_eq!(other.recv_value::<(bool, i64, String, Vec<Option<f64>>)>().unwrap(), value);
    let (mut recv, mut send) = one.split();
    other.send_value("by halves").unwrap();
    assert_eq!(recv.recv_value::<String>().unwrap(), "by halves");
    send.send_value(&[1_u8; 3]).unwrap();
    assert_eq!(other.try_recv_value::<[u8; 3]>().unwrap(), [1; 3]);
}

#[test]
fn what_is_no_value_of_the_type_is_received_and_told() {
    let (mut one, mut other) = Connection::pair().unwrap();
    one.send_bytes(b"\xFF").unwrap();
    one.send_value(&(1_u8, 2_u8)).unwrap();
    one.send_value(&3_u8).unwrap();
    // No text; and more than a number.
    let error = other.recv_value::<String>().unwrap_err();
    assert!(matches!(error, ValueError::Decode { .. }), "{error}");
    assert_eq!(Error::from(error).kind(), ErrorKind::InvalidData);
    assert!(matches!(other.recv_value::<u8>(), Err(ValueError::Decode { .. })));
    assert_eq!(other.recv_value::<u8>().unwrap(), 3);
    let error = other.try_recv_value::<u8>().unwrap_err();
    assert!(matches!(error, ValueError::Transport(ConnectionError::WouldBlock)), "{error}");
}

#[test]
fn aut_14_a_key_is_no_value() {
    use std::marker::PhantomData;

    struct Probe<T>(PhantomData<T>);

    impl<T: serde::Serialize> Probe<T> {
        fn is_value(&self) -> bool {
            true
        }
    }

    trait Otherwise {
        fn is_value(&self) -> bool {
            false
        }
    }
    impl<T> Otherwise for Probe<T> {}

    assert!(Probe::<Vec<u8>>(PhantomData).is_value());
    assert!(!Probe::<shmkit_connection::Key>(PhantomData).is_value());
}
