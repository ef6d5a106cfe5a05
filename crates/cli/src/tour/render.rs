//! What a tour says in the end: for people.

use std::fmt::{self, Write as _};

use super::report::{InMutex, InPipe, Report, Side, Victim};
use crate::print::Terminal;
use crate::table::{Table, number};
use crate::words::shown;

/// Paths that are listed before the rest is only counted.
const SHOWN: usize = 3;
/// Workers whose chunks are told of, before those of the rest are left to `--json`.
const WORKERS: usize = 6;

impl Report {
    /// Returns the report for people: a screen of 80 columns and 24 lines, if nothing is odd about the files.
    pub(super) fn text(&self, terminal: Terminal) -> String {
        format!("\n{}\n{}", self.table().text(terminal), terminal.wrap(&self.to_string()))
    }
}

/// What is below the table.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kills(f)?;
        self.workers(f)?;
        self.special_files(f)?;
        self.left(f)?;
        if self.ok {
            writeln!(f, "\nOK: every figure agrees, nothing is left")
        } else {
            writeln!(f, "\nNOT OK: {}", self.problems.join("; "))
        }
    }
}

impl Report {
    fn table(&self) -> Table {
        let workers = plural(u64::from(self.workers), "worker");
        let mut table = Table::new(&["", &workers, "one process", "agree"]);
        let mut row = |name: &str, figure: &dyn Fn(&Side) -> String, agree: bool| {
            let agree = if agree { "yes" } else { "NO" };
            let [parallel, single] =
                [&self.parallel, &self.single].map(|side| number(figure(side)));
            table.add_row([name.into(), parallel, single, agree.into()]);
        };
        row("bytes", &|side| grouped(side.bytes), self.agree.bytes);
        row("lines", &|side| grouped(side.lines), self.agree.lines);
        row("words", &|side| grouped(side.words), self.agree.words);
        row("histogram", &|side| side.histogram.clone(), self.agree.histogram);
        row("chunks", &|side| grouped(side.chunks), self.agree.chunks);
        table
    }

    fn kills(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(kills) = &self.kills else {
            return writeln!(f, "no worker was killed (--no-kill)");
        };
        if let Some(InMutex { victim, heir, recovered_ms, redone }) = &kills.in_mutex {
            writeln!(f, "{victim} half-way through an update, mutex held")?;
            if let (Some(heir), Some(ms)) = (heir, recovered_ms) {
                let redone = plural(*redone, "update");
                writeln!(
                    f,
                    "  {ms:.1} ms later process {heir} had the mutex, and had redone {redone}"
                )?;
            }
            victim.seen(f)?;
        }
        if let Some(InPipe { victim }) = &kills.in_pipe {
            writeln!(f, "{victim} half-way through a report, pipe half filled")?;
            victim.seen(f)?;
        }
        Ok(())
    }

    fn workers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted: Vec<_> = self.by_worker.iter().filter(|worker| worker.chunks > 0).collect();
        let chunks: Vec<_> =
            counted.iter().take(WORKERS).map(|worker| grouped(worker.chunks)).collect();
        let more = if counted.len() > WORKERS { ", ... (--json has all)" } else { "" };
        writeln!(f, "chunks by worker, as far as reported: {}{more}", chunks.join(", "))?;
        let permits = plural(u64::from(self.permits.total), "permit");
        let back = if self.permits.all_back { "all came back" } else { "NOT all came back" };
        writeln!(f, "semaphore: {permits}, {back}")?;
        if self.lost_workers > 0 {
            let lost = plural(self.lost_workers, "worker");
            writeln!(f, "{lost} died of something else; their chunks were handed out again")?;
        }
        Ok(())
    }

    fn special_files(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = &self.files;
        write!(f, "files: {}", grouped(files.listed))?;
        for (count, what) in
            [(files.empty, "empty"), (files.binary, "binary (a zero byte in them)")]
        {
            if count > 0 {
                write!(f, ", {} {what}", grouped(count))?;
            }
        }
        for (count, what) in
            [(files.links, "symbolic link"), (files.special, "pipe, socket or device file")]
        {
            if count > 0 {
                write!(f, "; passed over: {}", plural(count, what))?;
            }
        }
        writeln!(f)?;
        let skipped = files.skipped.iter().map(|skipped| {
            let (counted, listed) = (grouped(skipped.counted_bytes), grouped(skipped.listed_bytes));
            format!("{}: {} ({counted} of {listed} bytes counted)", skipped.file.shown, skipped.why)
        });
        list(f, "not counted to the end, by neither side", skipped)?;
        let unreadable = files.unreadable.iter().map(|u| format!("{}: {}", u.file.shown, u.why));
        list(f, "could not be listed, and not counted", unreadable)?;
        list(
            f,
            "changed since they were listed",
            files.changed.iter().map(|path| path.shown.clone()),
        )
    }

    fn left(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shm = match self.left.shm.as_slice() {
            [] => "nothing".to_owned(),
            names => names.join(", "),
        };
        let size = grouped(self.segment.bytes);
        let path = shown(&self.segment.path);
        writeln!(f, "left in /dev/shm: {shm} (while it ran: {path}, {size} bytes)")?;
        let processes = match self.left.processes.as_slice() {
            [] => "none".to_owned(),
            pids => pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
        };
        let started = self.by_worker.len();
        writeln!(f, "processes left: {processes} ({started} workers were started)")
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "killed -9 worker {} ({})", self.worker, self.pid)
    }
}

impl Victim {
    fn seen(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let again = plural(self.handed_out_again, "chunk");
        match self.peer_died_ms {
            Some(ms) => {
                writeln!(f, "  {ms:.1} ms later its pipe said: peer dead; {again} handed out again")
            }
            None => writeln!(f, "  {again} handed out again"),
        }
    }
}

/// Writes a heading and the first few of `items`, if there are any.
fn list(
    f: &mut fmt::Formatter<'_>,
    heading: &str,
    items: impl ExactSizeIterator<Item = String>,
) -> fmt::Result {
    let count = items.len();
    if count == 0 {
        return Ok(());
    }
    writeln!(f, "{heading}: {}", plural(count as u64, "file"))?;
    for item in items.take(SHOWN) {
        writeln!(f, "  {item}")?;
    }
    if count > SHOWN {
        writeln!(f, "  and {} more (--json names them all)", grouped((count - SHOWN) as u64))?;
    }
    Ok(())
}

/// A number with a comma before every third digit.
pub(super) fn grouped(number: u64) -> String {
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
pub(super) fn plural(count: u64, what: &str) -> String {
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
    fn numbers_are_grouped() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (1234567, "1,234,567")];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
        assert_eq!((plural(1, "file"), plural(0, "file")), ("1 file".into(), "0 files".into()));
    }
}
