//! A JSON array as the tuple of a task's arguments; and which types are a `Result`.

use serde::de::value::Error as Nothing;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Error;
use serde_json::value::RawValue;

/// The arguments of a call, each as the text that it came as: of which type they are, the task says.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a>(pub(crate) &'a [&'a RawValue]);

impl Arguments<'_> {
    fn are(&self, expected: usize) -> Result<(), Error> {
        match self.0.len() {
            found if found == expected => Ok(()),
            found => Err(Error::custom(format!("arguments expected: {expected}, found: {found}"))),
        }
    }
}

impl<'de> Deserializer<'de> for Arguments<'de> {
    type Error = Error;

    /// None of those that `#[task]` makes.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("its arguments are no tuple"))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.are(0)?;
        visitor.visit_unit()
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, to: V) -> Result<V::Value, Error> {
        self.are(len)?;
        to.visit_seq(Each { all: self.0, at: 0 })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit_struct newtype_struct seq
        tuple_struct map struct enum identifier ignored_any
    }
}

/// One after the other.
struct Each<'a> {
    all: &'a [&'a RawValue],
    at: usize,
}

impl<'de> SeqAccess<'de> for Each<'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some(text) = self.all.get(self.at) else { return Ok(None) };
        self.at += 1;
        let number = self.at;
        let value = seed.deserialize(&mut serde_json::Deserializer::from_str(text.get()));
        value.map(Some).map_err(|error| Error::custom(format!("argument {number}: {error}")))
    }
}

/// Returns whether a type is a `Result`: it asks for an enum of these variants.
pub(crate) fn is_result<T: DeserializeOwned>() -> bool {
    struct Asked<'a>(&'a mut bool);

    impl<'de> Deserializer<'de> for Asked<'_> {
        type Error = Nothing;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Nothing> {
            Err(Nothing::custom("there is nothing"))
        }

        fn deserialize_enum<V: Visitor<'de>>(
            self,
            _: &'static str,
            variants: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Nothing> {
            *self.0 = variants == ["Ok", "Err"];
            Err(Nothing::custom("there is nothing"))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map struct identifier ignored_any
        }
    }

    let mut is_result = false;
    // There is nothing to be made of: it has asked.
    let _ = T::deserialize(Asked(&mut is_result));
    is_result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded<T: DeserializeOwned>(json: &str) -> Result<T, String> {
        let all: Vec<&RawValue> = serde_json::from_str(json).unwrap();
        T::deserialize(Arguments(&all)).map_err(|error| error.to_string())
    }

    #[test]
    fn an_array_is_the_tuple_that_a_task_takes() {
        assert_eq!(decoded::<()>("[]"), Ok(()));
        assert_eq!(
            decoded::<(u128,)>("[340282366920938463463374607431768211455]"),
            Ok((u128::MAX,))
        );
        let two = decoded::<(String, Option<Vec<f64>>)>(r#"["5", [0.1, 2]]"#);
        assert_eq!(two, Ok(("5".into(), Some(vec![0.1, 2.0]))));
    }

    #[test]
    fn what_is_none_of_its_arguments_is_told() {
        assert_eq!(decoded::<()>("[1]").unwrap_err(), "arguments expected: 0, found: 1");
        assert_eq!(decoded::<(u8,)>("[]").unwrap_err(), "arguments expected: 1, found: 0");
        let wrong = decoded::<(u8, u8)>(r#"[1, "x"]"#).unwrap_err();
        assert!(
            wrong.starts_with("argument 2: invalid type: string \"x\", expected u8"),
            "{wrong}"
        );
        let large = decoded::<(u8, u8)>("[300, 1]").unwrap_err();
        assert!(large.contains("argument 1: invalid value: integer `300`, expected u8"), "{large}");
        assert_eq!(decoded::<Vec<u8>>("[1]").unwrap_err(), "its arguments are no tuple");
    }

    #[test]
    fn a_result_is_known_by_what_it_asks_for() {
        assert!(is_result::<Result<u8, String>>() && is_result::<Result<(), Result<(), ()>>>());
        assert!(
            !is_result::<u8>()
                && !is_result::<Option<Result<(), ()>>>()
                && !is_result::<(u8, String)>()
        );
    }
}
