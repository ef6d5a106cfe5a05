//! How a value of any type that `serde` knows becomes the bytes of a message, and comes out of them again.
//!
//! The bytes are [postcard](https://postcard.jamesmunns.com/wire-format)'s, whose format is documented and has no code in it. They
//! do not say what they are: both sides must mean the same type. What is no value of it, or more than one, is refused.
//!
//! * [`encode`], [`decode`]: as pipes, connections and queues do it.
//! * [`ValueError`]: why not, or the transport's own reason.
//! * [`from_bytes`]: for who has errors of their own.

use core::any::type_name;
use core::error::Error;
use core::fmt;
use std::io::{self, ErrorKind};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a value was not sent or received: its bytes, or what was to carry them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueError<E> {
    /// The value cannot be encoded. Nothing was sent.
    Encode {
        /// Its type.
        type_name: &'static str,
        /// What was in the way.
        why: postcard::Error,
    },
    /// The message is no value of this type. It is received.
    Decode {
        /// The type that was wanted.
        type_name: &'static str,
        /// What was in the way.
        why: postcard::Error,
    },
    /// The reason of the pipe, the connection or the queue.
    Transport(E),
}

/// Returns the bytes of a value.
///
/// # Errors
///
/// [`ValueError::Encode`]: its own `Serialize` has failed.
pub fn encode<T: Serialize + ?Sized, E>(value: &T) -> Result<Vec<u8>, ValueError<E>> {
    postcard::to_stdvec(value)
        .map_err(|why| ValueError::Encode { type_name: type_name::<T>(), why })
}

/// Returns the value of which these are the bytes, all of them.
///
/// The bytes must be this process's own: others do not change them meanwhile.
///
/// # Errors
///
/// [`ValueError::Decode`].
pub fn decode<T: DeserializeOwned, E>(bytes: &[u8]) -> Result<T, ValueError<E>> {
    from_bytes(bytes).map_err(|why| ValueError::Decode { type_name: type_name::<T>(), why })
}

/// Returns the value of which these are the bytes, all of them.
///
/// # Errors
///
/// postcard's; what is left behind the value is a bad encoding of it.
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, postcard::Error> {
    match postcard::take_from_bytes(bytes)? {
        (value, []) => Ok(value),
        // What is behind the value is another type's.
        _ => Err(postcard::Error::DeserializeBadEncoding),
    }
}

impl<E> ValueError<E> {
    /// Changes the transport's reason.
    pub fn map_transport<F>(self, change: impl FnOnce(E) -> F) -> ValueError<F> {
        match self {
            Self::Encode { type_name, why } => ValueError::Encode { type_name, why },
            Self::Decode { type_name, why } => ValueError::Decode { type_name, why },
            Self::Transport(error) => ValueError::Transport(change(error)),
        }
    }
}

impl<E> fmt::Display for ValueError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode { type_name, .. } => {
                write!(f, "a value of type {type_name} cannot be encoded")
            }
            Self::Decode { type_name, .. } => write!(
                f,
                "a message is no value of type {type_name}; both ends must name the same type"
            ),
            Self::Transport(_) => f.write_str("the value was not sent or received"),
        }
    }
}

impl<E: Error + 'static> Error for ValueError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Encode { why, .. } | Self::Decode { why, .. } => Some(why),
            Self::Transport(error) => Some(error),
        }
    }
}

impl<E> From<E> for ValueError<E> {
    fn from(error: E) -> Self {
        Self::Transport(error)
    }
}

impl<E> From<ValueError<E>> for io::Error
where
    E: Error + Into<io::Error> + Send + Sync + 'static,
{
    fn from(error: ValueError<E>) -> Self {
        match error {
            ValueError::Encode { .. } => Self::new(ErrorKind::InvalidInput, error),
            ValueError::Decode { .. } => Self::new(ErrorKind::InvalidData, error),
            ValueError::Transport(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Result<T> = core::result::Result<T, ValueError<io::Error>>;

    #[test]
    fn a_value_comes_out_as_it_went_in_and_nothing_else_does() {
        let order = ("burger".to_owned(), vec![1.5, 2.5]);
        let bytes = encode::<_, io::Error>(&order).unwrap();
        assert_eq!(decode::<(String, Vec<f64>), io::Error>(&bytes).unwrap(), order);
        for wrong in [&bytes[1..], &bytes[..3], &[bytes.clone(), vec![0]].concat()] {
            let found: Result<(String, Vec<f64>)> = decode(wrong);
            let error = found.unwrap_err();
            assert!(
                error.source().is_some() && error.to_string().contains("alloc::string::String")
            );
            assert_eq!(io::Error::from(error).kind(), ErrorKind::InvalidData);
        }
    }

    #[test]
    fn what_cannot_be_encoded_and_what_carries_it_say_so() {
        struct Refuses;
        impl Serialize for Refuses {
            fn serialize<S: serde::Serializer>(
                &self,
                _: S,
            ) -> core::result::Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("not this one"))
            }
        }
        let error = encode::<_, io::Error>(&Refuses).unwrap_err();
        assert_eq!(io::Error::from(error).kind(), ErrorKind::InvalidInput);
        let error = ValueError::from(io::Error::from(ErrorKind::TimedOut));
        let error = error.map_transport(|error| io::Error::new(ErrorKind::WouldBlock, error));
        assert_eq!(error.to_string(), "the value was not sent or received");
        assert_eq!(io::Error::from(error).kind(), ErrorKind::WouldBlock);
    }
}
