//! The values of an object, where they are numbers that can be read without a lock; otherwise its bytes.

use std::path::Path;

use serde::Serialize;
use shmkit::cell::elements_at;
use shmkit::tracker::{Entry, Inspection};
use shmkit::{Observer, OpenOptions, Value};

/// What an object holds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Content {
    /// A value, or the first elements of an array.
    Values(Vec<serde_json::Value>),
    /// Its first bytes.
    Bytes(Vec<u8>),
}

/// Numbers of these types are shown as numbers, by what the directory says of their type.
macro_rules! numbers {
    ($tag:expr, $f:ident ( $($arg:expr),* )) => {
        match $tag {
            "u8" => $f::<u8>($($arg),*),
            "u16" => $f::<u16>($($arg),*),
            "u32" => $f::<u32>($($arg),*),
            "u64" => $f::<u64>($($arg),*),
            "i8" => $f::<i8>($($arg),*),
            "i16" => $f::<i16>($($arg),*),
            "i32" => $f::<i32>($($arg),*),
            "i64" => $f::<i64>($($arg),*),
            "f32" => $f::<f32>($($arg),*),
            "f64" => $f::<f64>($($arg),*),
            _ => None,
        }
    };
}

/// Reads what the object holds, `most` values or bytes of it.
pub(super) fn content(
    inspection: &Inspection,
    (directory, segment): (&Path, &str),
    entry: &Entry,
    most: usize,
) -> anyhow::Result<Content> {
    let tag = entry.shape.tag.name();
    let known = match entry.shape.kind.name() {
        // What has no name is not opened by one.
        "value" if !inspection.is_unnamed() => {
            let observer = OpenOptions::new().directory(directory).observe(segment)?;
            numbers!(tag, value(&observer, &entry.name))
        }
        "array" | "atomics" => match elements_at(&entry.shape) {
            Some(from) => {
                let size = entry.shape.tag.size() as usize;
                let bytes = inspection.bytes(entry, from, most.saturating_mul(size.max(1)))?;
                numbers!(tag, elements(&bytes))
            }
            None => None,
        },
        _ => None,
    };
    match known {
        Some(values) => Ok(Content::Values(values)),
        None => Ok(Content::Bytes(inspection.bytes(entry, 0, most)?)),
    }
}

/// The value of a cell, whole. None if it is written all the time.
fn value<T: shmkit::ShmSafe + Serialize>(
    observer: &Observer,
    name: &str,
) -> Option<Vec<serde_json::Value>> {
    let value: T = observer.see::<Value<T>>(name).ok()?;
    Some(vec![serde_json::to_value(value).ok()?])
}

/// Elements as they lie there at this moment: each is whole, not all of one moment.
fn elements<T: shmkit::ShmSafe + Serialize>(bytes: &[u8]) -> Option<Vec<serde_json::Value>> {
    let each = bytes.chunks_exact(size_of::<T>());
    each.map(|bytes| {
        let value: T = shmkit::bytemuck::try_pod_read_unaligned(bytes).ok()?;
        serde_json::to_value(value).ok()
    })
    .collect()
}

impl Content {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Values(values) => {
                let texts: Vec<_> = values.iter().map(ToString::to_string).collect();
                format!("{}\n", texts.join(" "))
            }
            Self::Bytes(bytes) => bytes.chunks(16).enumerate().map(line).collect(),
        }
    }
}

/// `00000010  68 65 6c 6c 6f ...  |hello...|`
fn line((at, bytes): (usize, &[u8])) -> String {
    let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let text: String = bytes
        .iter()
        .map(|&byte| if (b' '..=b'~').contains(&byte) { byte as char } else { '.' })
        .collect();
    format!("{:08x}  {:<47}  |{text}|\n", at * 16, hex.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_numbers_and_text() {
        let text = Content::Bytes(b"hello, world\x1b[2J\xff".to_vec()).text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "00000000  68 65 6c 6c 6f 2c 20 77 6f 72 6c 64 1b 5b 32 4a  |hello, world.[2J|"
        );
        assert!(lines[1].starts_with("00000010  ff  ") && lines[1].ends_with("  |.|"), "{text}");
    }
}
