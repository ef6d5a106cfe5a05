//! Values as Python's `repr` writes them.

use std::fmt::{Formatter, Result, Write};

use super::Any;

pub(super) fn write(f: &mut Formatter<'_>, value: &Any) -> Result {
    match value {
        Any::Null => f.write_str("None"),
        Any::Bool(true) => f.write_str("True"),
        Any::Bool(false) => f.write_str("False"),
        Any::Int(it) => write!(f, "{it}"),
        Any::Float(it) => float(f, *it),
        Any::Str(it) => {
            let quote = quote(it.contains('\''), it.contains('"'));
            f.write_char(quote)?;
            for c in it.chars() {
                character(f, c, quote)?;
            }
            f.write_char(quote)
        }
        Any::Bytes(it) => {
            let quote = quote(it.contains(&b'\''), it.contains(&b'"'));
            write!(f, "b{quote}")?;
            for &byte in it {
                match byte {
                    0x80.. => write!(f, "\\x{byte:02x}")?,
                    _ => character(f, char::from(byte), quote)?,
                }
            }
            f.write_char(quote)
        }
        Any::List(items) => {
            f.write_char('[')?;
            for (at, item) in items.iter().enumerate() {
                f.write_str(if at == 0 { "" } else { ", " })?;
                write(f, item)?;
            }
            f.write_char(']')
        }
        Any::Map(entries) => {
            f.write_char('{')?;
            for (at, (key, value)) in entries.iter().enumerate() {
                f.write_str(if at == 0 { "" } else { ", " })?;
                write(f, key)?;
                f.write_str(": ")?;
                write(f, value)?;
            }
            f.write_char('}')
        }
    }
}

fn quote(has_single: bool, has_double: bool) -> char {
    if has_single && !has_double { '"' } else { '\'' }
}

fn character(f: &mut Formatter<'_>, c: char, quote: char) -> Result {
    match c {
        '\\' => f.write_str("\\\\"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        c if c == quote => write!(f, "\\{c}"),
        c if c.is_control() => write!(f, "\\x{:02x}", u32::from(c)),
        c => f.write_char(c),
    }
}

/// The shortest digits that give the number back; with an exponent where that is below -4, or from 16 on.
fn float(f: &mut Formatter<'_>, it: f64) -> Result {
    if !it.is_finite() {
        return f.write_str(if it.is_nan() {
            "nan"
        } else if it > 0.0 {
            "inf"
        } else {
            "-inf"
        });
    }
    let text = format!("{it:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if it == 0.0 || (-4..16).contains(&exponent) {
        // Without an exponent `Debug` has a point, as Python has.
        return match format!("{it}") {
            text if text.contains('.') => f.write_str(&text),
            text => write!(f, "{text}.0"),
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    write!(f, "{digits}e{sign}{:02}", exponent.abs())
}
