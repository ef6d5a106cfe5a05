//! `shmkit inspect`: one segment, and what the bytes of each of its objects say.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde::Serialize;
use shmkit::tracker::{DIRECTORY, Entry, Holder, Inspection, Verdict, Waiting, Waits};

use crate::facts;
use crate::print::{Terminal, print, print_json};
use crate::segments;
use crate::since;
use crate::status;
use crate::table::{Table, number};
use crate::words::{bytes, chain, shown};

use self::workers::Workers;

mod bytes;
mod workers;

/// Look into a segment: who takes part, what each object's state is, who holds it and who waits for it.
///
/// It is not joined, and nothing in it is changed: copies of its file are read, so that a damaged or hostile segment does no
/// harm. With an object's name, its values or first bytes as well.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if it could be read, 1 if not.\n\nExamples:\n  shmkit inspect weather\n  shmkit inspect weather/hits --json"
)]
pub(crate) struct Args {
    /// What it is called, and one object of it. One without a name, a pool's for instance, is called `PID:DESCRIPTOR`, of a
    /// process that has it: `shmkit top` shows them.
    #[arg(value_name = "NAME[/OBJECT]")]
    name: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// How many bytes, or values, of the object are shown.
    #[arg(long, default_value_t = 256)]
    most: usize,
    /// Where the segments' files are.
    #[arg(long, default_value = DIRECTORY)]
    directory: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // No segment has a slash in its name.
    let (name, object) = match args.name.split_once('/') {
        Some((name, object)) => (name, Some(object)),
        None => (&*args.name, None),
    };
    let inspection = segments::one(&args.directory, name)
        .with_context(|| format!("cannot look into {}", shown(name)))?;
    let entries = match &inspection.summary.objects {
        Ok(entries) => entries,
        Err(error) => bail!("the directory of {} is damaged: {}", shown(name), chain(error)),
    };
    // Who waits is a favour: to who may not ask, the rest is shown.
    let waits = segments::waits(&args.directory).unwrap_or_default();
    let of = |entry: &Entry| Object::new(&inspection, entry, name, &waits);
    let Some(object) = object else {
        let segment = Segment::new(name, &inspection, entries.iter().map(of).collect());
        if args.json {
            print_json(&segment)?;
        } else {
            print(&segment.text(Terminal::here()))?;
        }
        return Ok(status::SUCCESS);
    };
    let Some(entry) = entries.iter().find(|entry| entry.name == object) else {
        bail!(
            "{} has no object {object:?}: `shmkit inspect {}` shows them",
            shown(name),
            shown(name)
        );
    };
    let mut seen = of(entry);
    let place = (&*args.directory, name);
    seen.content = Some(bytes::content(&inspection, place, entry, args.most)?);
    if args.json {
        print_json(&seen)?;
    } else {
        print(&seen.text(Terminal::here()))?;
    }
    Ok(status::SUCCESS)
}

#[derive(Debug, Serialize)]
struct Segment {
    name: String,
    path: String,
    kind: &'static str,
    content: String,
    /// In bytes.
    size: u64,
    limit: u64,
    /// The memory that it takes, in bytes.
    resident: u64,
    owner: u32,
    version: u32,
    capacity: u32,
    participants: Vec<Participant>,
    objects: Vec<Object>,
}

#[derive(Debug, Serialize)]
struct Participant {
    id: String,
    pid: u32,
    command: String,
    alive: bool,
    left: bool,
    /// For how many seconds the process has run; `null` if that is not known.
    since: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Object {
    name: String,
    kind: String,
    r#type: Option<String>,
    length: u64,
    bytes: u64,
    offset: u64,
    unlinked: bool,
    /// What its bytes say of its state.
    state: serde_json::Map<String, serde_json::Value>,
    #[serde(skip)]
    state_text: String,
    /// Whom its words name: who holds it, has an end of it, or has taken something from it.
    named: Vec<Named>,
    /// The threads that sleep on it.
    waiting: Vec<Asleep>,
    /// Of a pool: its workers, and what each is doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<Workers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<bytes::Content>,
    #[serde(skip)]
    shape: String,
}

#[derive(Debug, Serialize)]
struct Named {
    id: String,
    pid: u32,
    command: String,
    alive: bool,
}

#[derive(Debug, Serialize)]
struct Asleep {
    pid: u32,
    thread: u32,
}

impl Segment {
    fn new(name: &str, inspection: &Inspection, objects: Vec<Object>) -> Self {
        let summary = &inspection.summary;
        let participant = |member: &shmkit::tracker::Member| Participant {
            id: member.id.to_string(),
            pid: member.person.pid,
            command: member.person.command.clone(),
            alive: member.verdict == Verdict::Alive,
            left: member.left,
            since: since::seconds(&member.person),
        };
        Self {
            name: name.to_owned(),
            path: inspection.path.display().to_string(),
            kind: match summary.persistent {
                true => "persistent",
                false if inspection.is_unnamed() => "unnamed",
                false => "named",
            },
            content: summary.content.clone(),
            size: summary.size,
            limit: summary.limit,
            resident: inspection.summary.resident,
            owner: summary.owner,
            // Another one is refused.
            version: shmkit::layout::VERSION,
            capacity: summary.capacity,
            participants: summary.participants.iter().map(participant).collect(),
            objects,
        }
    }

    fn text(&self, terminal: Terminal) -> String {
        let size = match self.limit {
            limit if limit > self.size => format!("{} of {}", bytes(self.size), bytes(limit)),
            _ => bytes(self.size),
        };
        let content = match &*self.content {
            "" => String::new(),
            content => format!(", {}", shown(content)),
        };
        let head = format!(
            "{}: {}{content}, {size}, {} resident, of user {}, layout {}\n\n",
            shown(&self.path),
            self.kind,
            bytes(self.resident),
            self.owner,
            self.version,
        );
        let mut out = terminal.wrap(&head);
        let mut rows = Table::new(&["participant", "state", "pid", "command", "since"]);
        for who in &self.participants {
            let state = match (who.alive, who.left) {
                (true, _) => "alive",
                (false, true) => "left",
                (false, false) => "dead",
            };
            let since = who.since.filter(|_| who.alive).map(since::text).unwrap_or_default();
            rows.add_row([
                number(&who.id),
                state.into(),
                number(who.pid),
                shown(&who.command).into(),
                since.into(),
            ]);
        }
        out.push_str(&rows.text(terminal));
        if self.objects.is_empty() {
            return out;
        }
        out.push('\n');
        let mut rows = Table::new(&["object", "what it is", "state", "named", "waiting"]);
        for object in &self.objects {
            rows.add_row([
                shown(&object.name).into(),
                shown(&object.shape).into(),
                object.state_text.clone().into(),
                object.named_text().into(),
                object.waiting_text().into(),
            ]);
        }
        out.push_str(&rows.text(terminal));
        for workers in self.objects.iter().filter_map(|object| object.workers.as_ref()) {
            out.push('\n');
            out.push_str(&workers.text(terminal));
        }
        out
    }
}

impl Object {
    fn new(inspection: &Inspection, entry: &Entry, segment: &str, waits: &Waits) -> Self {
        let shape = &entry.shape;
        let tag = shape.tag.name();
        let facts = facts::of(inspection, entry);
        let named = |holder: &Holder| Named {
            id: holder.id.to_string(),
            pid: holder.pid,
            command: holder.command.clone(),
            alive: holder.is_alive,
        };
        let here = |waiting: &&Waiting| waiting.segment == segment && waiting.object == entry.name;
        let asleep = |waiting: &Waiting| Asleep { pid: waiting.pid, thread: waiting.thread };
        Self {
            name: entry.name.clone(),
            kind: shape.kind.to_string(),
            r#type: (!tag.is_empty()).then(|| tag.to_owned()),
            length: shape.len,
            bytes: shape.bytes,
            offset: entry.offset,
            unlinked: entry.is_unlinked,
            state: facts.iter().map(|(what, fact)| (what.to_owned(), facts::json(fact))).collect(),
            state_text: facts.to_string(),
            named: inspection.named(entry).iter().map(named).collect(),
            waiting: waits.waiting.iter().filter(here).map(asleep).collect(),
            workers: Workers::of(inspection, entry),
            content: None,
            shape: shape.to_string(),
        }
    }

    /// `4711 (cook), 4712 (cook, dead)`.
    fn named_text(&self) -> String {
        let text = |who: &Named| {
            let dead = if who.alive { "" } else { ", dead" };
            format!("{} ({}{dead})", who.pid, shown(&who.command))
        };
        self.named.iter().map(text).collect::<Vec<_>>().join(", ")
    }

    fn waiting_text(&self) -> String {
        let text = |who: &Asleep| {
            let thread =
                if who.thread == who.pid { String::new() } else { format!("/{}", who.thread) };
            format!("{}{thread}", who.pid)
        };
        self.waiting.iter().map(text).collect::<Vec<_>>().join(", ")
    }

    fn text(&self, terminal: Terminal) -> String {
        let mut out = format!("{}: {}\n", shown(&self.name), shown(&self.shape));
        out.push_str(&format!("at byte {}, {}\n", self.offset, bytes(self.bytes)));
        let said = [
            ("state", self.state_text.clone()),
            ("named", self.named_text()),
            ("waiting", self.waiting_text()),
        ];
        for (what, text) in said {
            if !text.is_empty() {
                out.push_str(&format!("{what}: {text}\n"));
            }
        }
        let mut out = terminal.wrap(&out);
        if let Some(workers) = &self.workers {
            out.push_str(&workers.text(terminal));
        }
        if let Some(content) = &self.content {
            out.push_str(&content.text());
        }
        out
    }
}
