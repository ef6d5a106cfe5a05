//! What the derive makes of types.

use std::num::NonZero;

use bytemuck::{Zeroable, bytes_of, cast};
use shmkit_layout::{Checked, Definition, Pad, ShmChecked, ShmSafe, TypeTag};

#[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
#[shm(crate = shmkit_layout, name = "weather.Reading")]
#[repr(C)]
struct Reading {
    celsius: f64,
    place: Place<f32, 2>,
    r#type: Kind,
    hours: [bool; 3],
    step: Option<NonZero<u16>>,
    _pad: Pad<2>,
}

#[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
#[shm(crate = shmkit_layout)]
#[repr(C)]
struct Place<T, const N: usize> {
    at: [T; N],
}

#[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
#[shm(crate = shmkit_layout)]
#[repr(i8)]
enum Kind {
    Cold = -3,
    Warm,
    r#Box = 7,
}

#[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
#[shm(crate = shmkit_layout)]
#[repr(transparent)]
struct Metres(f64);

const READING: Reading = Reading {
    celsius: 21.5,
    place: Place { at: [1.0, 2.0] },
    r#type: Kind::Warm,
    hours: [true, false, true],
    step: NonZero::new(9),
    _pad: Pad::ZERO,
};

fn share<T: ShmSafe>() -> String {
    T::TAG.to_string()
}

#[test]
fn a_struct_of_plain_fields_is_plain() {
    assert_eq!(share::<Metres>(), "Metres (8 bytes)");
    assert_eq!(share::<[Place<u32, 3>; 2]>(), "[Place; 2] (24 bytes)");
    assert_eq!(Metres::zeroed(), Metres(0.0));
    assert_eq!(bytes_of(&Metres(1.0)), 1.0_f64.to_ne_bytes());
    assert_ne!(Place::<u32, 3>::TAG, Place::<i32, 3>::TAG);
}

#[test]
fn a_struct_with_other_fields_is_checked() {
    assert_eq!(share::<Checked<Reading>>(), "weather.Reading (24 bytes)");
    assert_eq!(Checked::new(READING).get(), Ok(READING));
    let spoilt = |at: usize, byte: u8| {
        let mut bytes: [u8; 24] = cast(Checked::new(READING));
        bytes[at] = byte;
        cast::<_, Checked<Reading>>(bytes).get().map_err(|error| error.path().to_owned())
    };
    assert_eq!(spoilt(16, 0), Err("weather.Reading.type".into()));
    assert_eq!(spoilt(16, 7), Ok(Reading { r#type: Kind::r#Box, ..READING }));
    assert_eq!(spoilt(18, 2), Err("weather.Reading.hours[1]".into()));
    assert_eq!(spoilt(20, 0), Ok(Reading { step: None, ..READING }));
    assert_eq!(spoilt(23, 0xff), Ok(READING), "padding says nothing");
}

#[test]
fn every_bit_pattern_is_a_value_or_is_not() {
    let valid = |bits: i8| cast::<_, Checked<Kind>>(bits).get().is_ok();
    assert_eq!((i8::MIN..=i8::MAX).filter(|&bits| valid(bits)).collect::<Vec<_>>(), [-3, -2, 7]);
    let optional = |bits: i8| cast::<_, Checked<Option<Kind>>>(bits).get();
    let found: Vec<_> = (i8::MIN..=i8::MAX).filter_map(|bits| optional(bits).ok()).collect();
    let expected = [Some(Kind::Cold), Some(Kind::Warm), None, Some(Kind::r#Box)];
    assert!(found.len() == 4 && expected.iter().all(|value| found.contains(value)), "{found:?}");
}

#[test]
fn a_definition_says_what_the_source_says() {
    let bytes = Reading::SCHEMA.encode().unwrap();
    assert_eq!(Definition::decode(&bytes).unwrap(), Reading::SCHEMA.into());
    assert_eq!(TypeTag::of(Reading::SCHEMA).name(), "weather.Reading");
    let difference = Definition::from(Metres::SCHEMA).difference(&<Place<f64, 1>>::SCHEMA.into());
    assert_eq!(difference.unwrap().to_string(), "`Metres`: Metres here, Place there");
}
