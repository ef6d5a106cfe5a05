//! What a tour says in the end: for people.

use std::fmt::{self, Write as _};

use comfy_table::{CellAlignment, Table, presets};

use super::report::{InMutex, InPipe, Report, Side, Victim};

/// Paths that are listed before the rest is only counted.
const SHOWN: usize = 5;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.table())?;
        self.kills(f)?;
        self.workers(f)?;
        self.special_files(f)?;
        self.left(f)?;
        if self.ok {
            write!(f, "\nOK: every figure agrees, nothing is left")
        } else {
            write!(f, "\nNOT OK: {}", self.problems.join("; "))
        }
    }
}

impl Report {
    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED);
        let workers = plural(u64::from(self.workers), "worker");
        table.set_header(["", &workers, "one process", "agree"]);
        let mut row = |name: &str, figure: &dyn Fn(&Side) -> String, agree: Option<bool>| {
            let agree = match agree {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "",
            };
            table.add_row([name, &figure(&self.parallel), &figure(&self.single), agree]);
        };
        row("bytes", &|side| grouped(side.bytes), Some(self.agree.bytes));
        row("lines", &|side| grouped(side.lines), Some(self.agree.lines));
        row("words", &|side| grouped(side.words), Some(self.agree.words));
        row("histogram", &|side| side.histogram.clone(), Some(self.agree.histogram));
        row("chunks", &|side| grouped(side.chunks), Some(self.agree.chunks));
        row("time", &|side| format!("{:.1} ms", side.ms), None);
        row("throughput", &|side| format!("{:.1} MiB/s", side.mib_per_s), None);
        for column in 1..=2 {
            let column = table.column_mut(column).expect("there are four columns");
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    fn kills(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(kills) = &self.kills else {
            return writeln!(f, "no worker was killed (--no-kill)");
        };
        if let Some(InMutex { victim, heir, recovered_ms, redone }) = &kills.in_mutex {
            writeln!(f, "{victim} half-way through an update, with the mutex held")?;
            if let (Some(heir), Some(ms)) = (heir, recovered_ms) {
                let redone = plural(*redone, "update");
                writeln!(
                    f,
                    "  {ms:.1} ms later process {heir} had the mutex, knew that the owner had died, and had repaired the record ({redone} done again from the journal)"
                )?;
            }
            victim.seen(f)?;
        }
        if let Some(InPipe { victim }) = &kills.in_pipe {
            writeln!(f, "{victim} half-way through filling its report pipe")?;
            victim.seen(f)?;
        }
        Ok(())
    }

    fn workers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chunks by worker, as far as they reported:")?;
        for worker in self.by_worker.iter().filter(|worker| worker.chunks > 0) {
            write!(f, " {} ({})", grouped(worker.chunks), worker.pid)?;
        }
        writeln!(f)?;
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
        for (count, what) in [
            (files.empty, "empty"),
            (files.binary, "binary (with a zero byte; counted like the others)"),
        ] {
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
            format!("{}: {} ({counted} of {listed} bytes counted)", skipped.path, skipped.why)
        });
        list(f, "not counted to the end, by neither side", skipped)?;
        let unreadable = files.unreadable.iter().map(|u| format!("{}: {}", u.path, u.why));
        list(f, "could not be listed, and not counted", unreadable)?;
        list(f, "changed since they were listed", files.changed.iter().cloned())
    }

    fn left(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shm = match self.left.shm.as_slice() {
            [] => "nothing".to_owned(),
            names => names.join(", "),
        };
        let size = grouped(self.segment.bytes);
        writeln!(f, "left in /dev/shm: {shm} (while it ran: {}, {size} bytes)", self.segment.path)?;
        let processes = match self.left.processes.as_slice() {
            [] => "none".to_owned(),
            pids => pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
        };
        let started = self.by_worker.len();
        write!(f, "processes left: {processes} ({started} workers were started)")
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "killed worker {} (process {}) with SIGKILL", self.worker, self.pid)
    }
}

impl Victim {
    fn seen(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let again = plural(self.handed_out_again, "chunk");
        match self.peer_died_ms {
            Some(ms) => writeln!(
                f,
                "  {ms:.1} ms later its pipe said that the peer is dead; {again} handed out again"
            ),
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
