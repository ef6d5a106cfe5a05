//! Words for what is reported: sizes, counts, errors, and names that may be any bytes.

use std::error::Error;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

/// A path in JSON, which knows text only.
#[derive(Debug, Serialize)]
pub(crate) struct Location {
    /// What is not UTF-8 in it shows as `\u{fffd}`.
    pub(crate) path: String,
    /// Its bytes, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<Vec<u8>>,
    /// As [`shown`].
    #[serde(skip)]
    pub(crate) shown: String,
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        let text = path.to_str();
        Self {
            path: path.to_string_lossy().into_owned(),
            path_bytes: text.is_none().then(|| path.as_os_str().as_bytes().to_owned()),
            shown: shown(path),
        }
    }
}

/// Returns a name as it may be shown on a terminal: what would move the cursor, and what is no text, is escaped.
pub(crate) fn shown(name: impl AsRef<OsStr>) -> String {
    let mut out = String::new();
    for chunk in name.as_ref().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}").expect("a string takes everything");
        }
    }
    out
}

/// Returns a number of bytes as people say it, rounded down: `4.0 KiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // 0 for KiB, and so on: below 6, as 2^64 is 16 EiB.
    let unit = bytes.ilog2() as usize / 10 - 1;
    let tenths = (u128::from(bytes) * 10) >> (10 * (unit + 1));
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Returns an error with all its sources, none of which repeats another.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// Reads a number of seconds from the command line.
///
/// # Errors
///
/// What was expected.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "a number of seconds was expected")?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

/// Returns `1 segment`, `2 segments`.
pub(crate) fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// A number with a comma before every third digit.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and what is counted.
pub(crate) fn plural(count: u64, what: &str) -> String {
    let mut text = format!("{} {what}", grouped(count));
    if count != 1 {
        text.write_char('s').expect("a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_down() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes(4096 + 450), "4.4 KiB");
        assert_eq!(bytes((1 << 20) - 1), "1023.9 KiB");
        assert_eq!(bytes(u64::MAX), "15.9 EiB");
    }

    #[test]
    fn a_name_cannot_move_the_cursor() {
        assert_eq!(shown("größe"), "größe");
        assert_eq!(shown("a\n\u{1b}[2J"), "a\\n\\u{1b}[2J");
    }

    #[test]
    fn a_path_that_is_no_text_keeps_its_bytes() {
        let location = Location::from(Path::new(OsStr::from_bytes(b"/a\xff")));
        assert_eq!(location.shown, "/a\\xff");
        let json = serde_json::to_value(&location).unwrap();
        assert_eq!(json, serde_json::json!({"path": "/a\u{fffd}", "path_bytes": [47, 97, 255]}));
        let json = serde_json::to_value(Location::from(Path::new("/ä"))).unwrap();
        assert_eq!(json, serde_json::json!({"path": "/ä"}));
    }

    #[test]
    fn numbers_are_grouped() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (1234567, "1,234,567")];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
        assert_eq!((plural(1, "file"), plural(0, "file")), ("1 file".into(), "0 files".into()));
    }
}
