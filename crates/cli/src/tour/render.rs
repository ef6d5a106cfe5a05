//! What a tour says in the end: for people.

use std::fmt;

use super::conduct::Kill;
use super::report::{InMutex, Report, Side};
use crate::print::Terminal;
use crate::table::{Table, number};
use crate::words::{grouped, plural, shown};

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
        if let Some(InMutex { victim, heir, recovered_ms, undone }) = &kills.in_mutex {
            writeln!(f, "{victim} half-way through an update, mutex held")?;
            if let (Some(heir), Some(ms)) = (heir, recovered_ms) {
                write!(f, "  {ms:.1} ms later process {heir} had the mutex, and had undone ")?;
                writeln!(f, "{}", plural(*undone, "update"))?;
            }
            victim.seen(f)?;
        }
        if let Some(victim) = &kills.in_pipe {
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
        writeln!(f, "chunks by worker, as far as answered: {}{more}", chunks.join(", "))?;
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
        write!(f, "files: {}", grouped(files.listed as u64))?;
        let counts = [
            (files.empty as u64, format!(", {} empty", grouped(files.empty as u64))),
            (files.binary, format!(", {} binary (a zero byte in them)", grouped(files.binary))),
            (files.links, format!("; passed over: {}", plural(files.links, "symbolic link"))),
            (
                files.special,
                format!("; passed over: {}", plural(files.special, "pipe, socket or device file")),
            ),
        ];
        counts.iter().filter(|(n, _)| *n > 0).try_for_each(|(_, text)| f.write_str(text))?;
        writeln!(f)?;
        let skipped = files.skipped.iter().map(|skipped| {
            let (counted, listed) = (grouped(skipped.counted_bytes), grouped(skipped.listed_bytes));
            format!("{}: {} ({counted} of {listed} bytes counted)", skipped.file.shown, skipped.why)
        });
        list(f, "not counted to the end, by neither side", skipped)?;
        let unreadable = files.unreadable.iter().map(|u| format!("{}: {}", u.file.shown, u.why));
        list(f, "could not be listed, and not counted", unreadable)?;
        let changed = files.changed.iter().map(|path| path.shown.clone());
        list(f, "changed since they were listed", changed)
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

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "killed -9 worker {} ({})", self.worker, self.pid)
    }
}

impl Kill {
    fn seen(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let again = plural(self.handed_out_again as u64, "chunk");
        let ms = self.peer_died_ms;
        writeln!(f, "  {ms:.1} ms later its pipe said: peer dead; {again} handed out again")
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
