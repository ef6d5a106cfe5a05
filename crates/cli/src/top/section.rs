//! The rows as texts, in columns: the same on a screen and in a list.

use super::rows::{Flow, Holder, Lock, Orphan, Pool, Rows, Totals};
use crate::words::{bytes, count, shown};

/// Rows of one sort.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) title: &'static str,
    /// The first column is a name, which takes what room there is.
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Vec<String>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) heading: &'static str,
    pub(super) is_number: bool,
}

const fn text(heading: &'static str) -> Column {
    Column { heading, is_number: false }
}

const fn number(heading: &'static str) -> Column {
    Column { heading, is_number: true }
}

/// What the sections are called, in order.
pub(super) const TITLES: [&str; 4] = ["pipes and queues", "locks", "pools", "orphans"];

impl Rows {
    pub(super) fn sections(&self) -> [Section; 4] {
        let [flows, locks, pools, orphans] = TITLES;
        const FLOWS: &[Column] = &[
            text("pipe or queue"),
            text("kind"),
            number("msg/s"),
            number("bytes/s"),
            number("inside"),
            number("fill"),
            number("waiting"),
        ];
        const LOCKS: &[Column] = &[
            text("lock"),
            text("kind"),
            text("held by"),
            number("for"),
            number("held"),
            number("waiting"),
            number("waited"),
            number("longest"),
        ];
        const POOLS: &[Column] = &[
            text("pool"),
            number("tasks/s"),
            number("queued"),
            number("workers"),
            number("busy"),
            number("longest"),
        ];
        const ORPHANS: &[Column] = &[
            text("orphan"),
            number("size"),
            number("resident"),
            number("killed in it"),
            text("content"),
        ];
        let rows = |rows: Vec<Vec<String>>, title, columns| Section { title, columns, rows };
        [
            rows(self.flows.iter().map(Flow::cells).collect(), flows, FLOWS),
            rows(self.locks.iter().map(Lock::cells).collect(), locks, LOCKS),
            rows(self.pools.iter().map(Pool::cells).collect(), pools, POOLS),
            rows(self.orphans.iter().map(Orphan::cells).collect(), orphans, ORPHANS),
        ]
    }
}

impl Totals {
    pub(super) fn text(&self) -> String {
        let mut out = count(self.segments, "segment");
        if self.unnamed > 0 {
            out += &format!(" ({} without a name)", self.unnamed);
        }
        let Self { living, dead, .. } = self;
        out += &format!(", {living} living, {dead} dead, {} resident", bytes(self.resident));
        if self.unread > 0 {
            out += &format!(", {} unreadable", self.unread);
        }
        if self.unseen > 0 {
            let processes = if self.unseen == 1 { "process" } else { "processes" };
            out += &format!(", what {} {processes} wait for is not seen", self.unseen);
        }
        out
    }
}

fn place(segment: &str, object: &str) -> String {
    format!("{}/{}", shown(segment), shown(object))
}

impl Flow {
    fn cells(&self) -> Vec<String> {
        vec![
            place(&self.segment, &self.object),
            if self.closed { format!("{}, closed", self.kind) } else { self.kind.clone() },
            self.per_second.map(si).unwrap_or_default(),
            self.bytes_per_second.map(|rate| bytes(rate as u64)).unwrap_or_default(),
            format!("{} of {}", si(self.inside as f64), si(self.of as f64)),
            self.fill.map(share).unwrap_or_default(),
            some(self.waiting),
        ]
    }
}

impl Lock {
    fn cells(&self) -> Vec<String> {
        let longest = self.holders.iter().map(|who| who.seconds).reduce(f64::max);
        vec![
            place(&self.segment, &self.object),
            self.kind.clone(),
            held_by(&self.holders),
            longest.map(span).unwrap_or_default(),
            share(self.held),
            some(self.waiting),
            share(self.waited_for),
            self.longest_wait.map(span).unwrap_or_default(),
        ]
    }
}

/// `4711 (cook)`, `4711 (cook) and 2 more`.
fn held_by(holders: &[Holder]) -> String {
    let Some(first) = holders.first() else { return String::new() };
    let dead = if first.alive { "" } else { ", dead" };
    let more = match holders.len() {
        1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    format!("{} ({}{dead}){more}", first.pid, shown(&first.command))
}

impl Pool {
    fn cells(&self) -> Vec<String> {
        vec![
            shown(&self.segment),
            self.per_second.map(si).unwrap_or_default(),
            format!("{} of {}", si(self.queued as f64), si(self.of as f64)),
            self.workers.to_string(),
            self.busy.to_string(),
            self.longest.map(span).unwrap_or_default(),
        ]
    }
}

impl Orphan {
    fn cells(&self) -> Vec<String> {
        vec![
            shown(&self.segment),
            bytes(self.size),
            bytes(self.resident),
            self.dead.to_string(),
            shown(&self.content),
        ]
    }
}

/// Nothing for none.
fn some(number: usize) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}

fn share(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// `950`, `12.3k`, `1.2M`: three digits.
pub(crate) fn si(number: f64) -> String {
    let (mut number, mut unit) = (number, "");
    for next in ["k", "M", "G", "T"] {
        if number < 999.5 {
            break;
        }
        (number, unit) = (number / 1000.0, next);
    }
    let digits = match number {
        _ if unit.is_empty() && (number >= 9.95 || number.fract() == 0.0) => 0,
        number if number >= 99.95 => 0,
        _ => 1,
    };
    format!("{number:.digits$}{unit}")
}

/// `12 ms`, `3.4 s`, `5 min`.
pub(crate) fn span(seconds: f64) -> String {
    match seconds {
        ..1.0 => format!("{:.0} ms", seconds * 1000.0),
        ..60.0 => format!("{seconds:.1} s"),
        ..3600.0 => format!("{:.0} min", (seconds / 60.0).floor()),
        _ => format!("{:.0} h", (seconds / 3600.0).floor()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let cases = [
            (0.0, "0"),
            (0.25, "0.2"),
            (9.0, "9"),
            (9.94, "9.9"),
            (42.4, "42"),
            (999.4, "999"),
            (999.6, "1.0k"),
            (12_345.0, "12.3k"),
            (123_456.0, "123k"),
            (999_960.0, "1.0M"),
            (2.5e9, "2.5G"),
        ];
        for (number, text) in cases {
            assert_eq!(si(number), text, "{number}");
        }
    }

    #[test]
    fn times_are_as_people_say_them() {
        let cases = [(0.0, "0 ms"), (0.0126, "13 ms"), (3.44, "3.4 s"), (61.0, "1 min")];
        for (seconds, text) in cases {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(span(7300.0), "2 h");
    }
}
