//! Whom an object's words name.

use std::fs::File;

use shmkit_layout::NameWords;
use shmkit_roster::{Member, OwnerId, Verdict};
use shmkit_segment::Entry;

use crate::examine::read_to;

/// Kinds in which a name does not keep anybody waiting: it is of who waits too, has come, or has taken a thing that
/// nobody else waits for.
const NAMED_ONLY: [&str; 9] =
    ["barrier", "bcast", "condvar", "counting", "event", "lifo", "pool", "priority", "queue"];

/// Most bytes between the first and the last word of an object that name somebody, of what is looked at.
const SPAN: u64 = 1 << 24;

/// Somebody who keeps others waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// Its name in the segment.
    pub id: OwnerId,
    /// The process.
    pub pid: u32,
    /// Name of the command.
    pub command: String,
    /// Whether it lives. From who is dead, whoever waits takes over.
    pub is_alive: bool,
}

/// Returns the participants that the words of an object name, if those keep others waiting: each once.
pub(crate) fn holders(file: &File, entry: &Entry, members: &[Member]) -> Vec<Holder> {
    if NAMED_ONLY.contains(&entry.shape.kind.name()) {
        return Vec::new();
    }
    named(file, entry, members)
}

/// Returns the participants that the words of an object name, each once.
pub(crate) fn named(file: &File, entry: &Entry, members: &[Member]) -> Vec<Holder> {
    let mut found: Vec<Holder> = Vec::new();
    for words in entry.shape.names {
        for id in names(file, entry, words) {
            let Some(member) = members.iter().find(|member| member.id == id) else { continue };
            if found.iter().all(|holder| holder.id != id) {
                found.push(Holder {
                    id,
                    pid: member.person.pid,
                    command: member.person.command.clone(),
                    is_alive: member.verdict != Verdict::Dead,
                });
            }
        }
    }
    found
}

/// Reads who is named in one row of an object's words. What cannot be read names nobody.
fn names(file: &File, entry: &Entry, words: NameWords) -> Vec<OwnerId> {
    let width = if words.is_upper() || words.is_lower() { 8 } else { 4 };
    let ends = (words.offsets().next(), words.offsets().last());
    let (Some(first), Some(last)) = ends else { return Vec::new() };
    let fits = last.checked_add(width).is_some_and(|end| end <= entry.shape.bytes);
    let span = last.saturating_sub(first) + width;
    if !fits || span > SPAN {
        return Vec::new();
    }
    // At most 16 MiB.
    let mut bytes = vec![0; span as usize];
    let Some(begin) = entry.offset.checked_add(first) else { return Vec::new() };
    if read_to(file, &mut bytes, begin).unwrap_or(0) < bytes.len() {
        return Vec::new();
    }
    // In memory order: what the lower half is, the machine says.
    let half = match (words.is_upper(), cfg!(target_endian = "little")) {
        (true, true) => 4,
        (false, false) if words.is_lower() => 4,
        _ => 0,
    };
    let word = |at: u64| {
        let at = (at - first) as usize + half;
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        OwnerId::new(u32::from_ne_bytes(bytes) & OwnerId::MASK)
    };
    words.offsets().filter_map(word).collect()
}
