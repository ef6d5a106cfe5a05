//! Values as messages.

use serde::ser::Error;
use serde::{Deserialize, Serialize, Serializer};
use shmkit_pipe::ValueError;

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Order {
    Burger { toppings: Vec<String>, price: f64 },
    Nothing,
}

fn burger() -> Order {
    Order::Burger { toppings: vec!["onion".into(), "Gürkchen".into()], price: 4.5 }
}

#[test]
fn a_value_comes_as_it_was_sent() {
    both(1024, |mut sender, mut receiver| {
        sender.send_value(&burger()).unwrap();
        sender.try_send_value(&Order::Nothing).unwrap();
        sender.send_value("a string").unwrap();
        sender.send_value(&()).unwrap();
        assert_eq!(receiver.recv_value(), Ok(burger()));
        assert_eq!(receiver.try_recv_value(), Ok(Order::Nothing));
        assert_eq!(receiver.recv_value(), Ok("a string".to_owned()));
        assert_eq!(receiver.recv_value(), Ok(()));
        let empty = ValueError::Transport(PipeError::Empty);
        assert_eq!(receiver.try_recv_value::<u8>(), Err(empty));
        let timeout = receiver.recv_value_timeout::<u8>(Duration::from_millis(1));
        assert_eq!(timeout, Err(ValueError::Transport(PipeError::TimedOut)));
    });
}

#[test]
fn what_is_no_value_of_the_type_costs_one_message_and_names_the_type() {
    both(1024, |mut sender, mut receiver| {
        sender.send_value(&7_u8).unwrap(); // no such variant
        sender.send_value(&(1_u8, 2_u8)).unwrap(); // more than a `u8`
        sender.send_value(&burger()).unwrap();
        let error = receiver.recv_value::<Order>().unwrap_err();
        assert!(error.to_string().contains("Order"), "{error}");
        let error = receiver.recv_value::<u8>().unwrap_err();
        assert!(matches!(error, ValueError::Decode { type_name: "u8", .. }), "{error:?}");
        assert_eq!(receiver.recv_value(), Ok(burger()));
    });
}

/// What refuses to be encoded.
struct Secret;

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("secret"))
    }
}

#[test]
fn of_a_value_that_cannot_be_encoded_nothing_is_sent() {
    both(1024, |mut sender, mut receiver| {
        let error = sender.send_value(&("begun", Secret)).unwrap_err();
        assert!(error.to_string().contains("Secret"), "{error}");
        assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
    });
}
