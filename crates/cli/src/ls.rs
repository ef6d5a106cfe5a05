//! `shmkit ls`: the segments of a directory, seen from outside.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use shmkit::cell::elements_at;
use shmkit::tracker::{
    DIRECTORY, Entry, Found, Member, Summary, Verdict, What, list, name_of, unnamed,
};

use crate::print::{Terminal, print, print_json};
use crate::since;
use crate::status;
use crate::table::{Table, number};
use crate::words::{Location, bytes, chain, count, shown};

/// List segments: what they are, who lives in them, what they hold.
///
/// Nothing is joined, mapped or changed. A segment that nobody lives in is what was left behind when everybody was
/// killed (see `gc`), or persistent.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if everything could be read, 1 if something could not.\n\nExamples:\n  shmkit ls --long\n  shmkit ls --json | jq '.segments[] | select(.living == 0)'"
)]
pub(crate) struct Args {
    /// Also segments without a name that living processes have, as far as you may look at those: a pool's, and such as were unlinked.
    #[arg(short, long)]
    all: bool,
    /// Also list every participant and every object.
    #[arg(short, long)]
    long: bool,
    /// Print JSON, which is always long.
    #[arg(long)]
    json: bool,
    /// Where the segments' files are.
    #[arg(long, default_value = DIRECTORY)]
    directory: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut found = list(&args.directory)?;
    if args.all {
        found.extend(unnamed().into_iter().map(Found::from));
    }
    let listing = Listing::new(&args.directory, &found);
    if args.json {
        print_json(&listing)?;
    } else {
        print(&listing.table(args, Terminal::here()))?;
    }
    let unread = !listing.unreadable.is_empty()
        || listing.segments.iter().any(|segment| segment.objects_error.is_some());
    Ok(if unread { status::FAILURE } else { status::SUCCESS })
}

#[derive(Debug, Serialize)]
struct Listing {
    directory: String,
    segments: Vec<Segment>,
    /// Called like segments, but none that this program can use: another program's, version's or user's.
    foreign: Vec<Other>,
    unreadable: Vec<Other>,
}

#[derive(Debug, Serialize)]
struct Segment {
    #[serde(flatten)]
    file: File,
    kind: &'static str,
    /// `live`, `orphan` if nobody lives in it, `persistent` if that does not matter, or `unnamed`.
    state: &'static str,
    /// In bytes, as the next two.
    size: u64,
    /// What that may become: the same, if it does not grow.
    limit: u64,
    /// The memory that it takes.
    resident: u64,
    /// How many seconds ago it was made; `null` if that is not known.
    age: Option<u64>,
    content: String,
    /// Number of the user it belongs to.
    owner: u32,
    in_use: bool,
    living: usize,
    /// Killed, or ended without leaving, and not replaced in their place.
    dead: usize,
    /// Most participants at a time.
    capacity: u32,
    participants: Vec<Participant>,
    /// Most objects.
    entries: u32,
    objects: Vec<Object>,
    #[serde(skip_serializing_if = "Option::is_none")]
    objects_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Participant {
    /// Its number.
    id: String,
    pid: u32,
    command: String,
    state: &'static str,
}

#[derive(Debug, Serialize)]
struct Object {
    name: String,
    kind: String,
    /// `null` if it holds no values.
    r#type: Option<String>,
    length: u64,
    bytes: u64,
    /// The how many-th object of its segment it is.
    generation: u64,
    /// The number of the participant that made it; `null` if somebody else has the number by now.
    creator: Option<String>,
    /// The numbers of the living that use it.
    users: Vec<String>,
    /// It has lost its name, and is there for its users only.
    unlinked: bool,
    /// Where it begins, in bytes from the file's first.
    offset: u64,
    /// Where the elements of an array begin, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    elements: Option<u64>,
    /// What NumPy calls the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    dtype: Option<&'static str>,
    #[serde(skip)]
    shape: String,
}

#[derive(Debug, Serialize)]
struct Other {
    #[serde(flatten)]
    file: File,
    why: String,
}

/// A file that is called like a segment.
#[derive(Debug, Serialize)]
pub(crate) struct File {
    /// Without the prefix.
    name: String,
    #[serde(flatten)]
    pub(crate) location: Location,
    /// The name, for people.
    #[serde(skip)]
    pub(crate) shown: String,
    #[serde(skip)]
    is_unnamed: bool,
}

impl File {
    pub(crate) fn new(name: &str, path: &Path) -> Self {
        let file = name_of(path);
        Self {
            name: name.to_owned(),
            location: path.into(),
            // In whatever bytes it is; one without a file is called something else.
            shown: file.map_or_else(|| shown(name), shown),
            is_unnamed: file.is_none(),
        }
    }
}

impl Listing {
    fn new(directory: &Path, found: &[Found]) -> Self {
        let mut this = Self {
            directory: directory.display().to_string(),
            segments: Vec::new(),
            foreign: Vec::new(),
            unreadable: Vec::new(),
        };
        for Found { path, name, what, .. } in found {
            let file = File::new(name, path);
            match what {
                What::Segment(summary) => this.segments.push(Segment::new(file, summary)),
                What::Foreign(why) => this.foreign.push(Other { file, why: chain(why) }),
                What::Unreadable(why) => this.unreadable.push(Other { file, why: chain(why) }),
                _ => {}
            }
        }
        this
    }

    fn table(&self, args: &Args, terminal: Terminal) -> String {
        let mut out = String::new();
        if self.segments.is_empty() {
            let none = format!("no segments in {}\n", shown(&args.directory));
            out.push_str(&terminal.wrap(&none));
        } else {
            let mut rows = Table::new(&[
                "name", "state", "size", "resident", "living", "dead", "objects", "content",
            ]);
            for segment in &self.segments {
                rows.add_row([
                    segment.file.shown.clone().into(),
                    segment.state.into(),
                    number(segment.sizes()),
                    number(bytes(segment.resident)),
                    number(segment.living),
                    number(segment.dead),
                    match &segment.objects_error {
                        None => number(segment.objects.len()),
                        Some(_) => number("?"),
                    },
                    shown(&segment.content).into(),
                ]);
            }
            out.push_str(&rows.text(terminal));
        }
        if args.long {
            self.segments.iter().for_each(|segment| out.push_str(&segment.details(terminal)));
        }
        let mut notes = String::new();
        for segment in &self.segments {
            if let Some(error) = &segment.objects_error {
                notes.push_str(&format!("{}: {}\n", segment.file.shown, shown(error)));
            }
        }
        for (others, what) in [(&self.foreign, ""), (&self.unreadable, "cannot be read: ")] {
            for Other { file, why } in others {
                notes.push_str(&format!("{}: {what}{}\n", file.location.shown, shown(why)));
            }
        }
        if !notes.is_empty() {
            out.push('\n');
            out.push_str(&terminal.wrap(&notes));
        }
        out
    }
}

impl Segment {
    fn new(file: File, summary: &Summary) -> Self {
        let state = match summary {
            _ if file.is_unnamed => "unnamed",
            Summary { persistent: true, .. } => "persistent",
            Summary { in_use: true, .. } => "live",
            _ => "orphan",
        };
        let age = summary.made.and_then(|made| made.elapsed().ok());
        Self {
            file,
            kind: if summary.persistent { "persistent" } else { "named" },
            state,
            size: summary.size,
            limit: summary.limit,
            resident: summary.resident,
            age: age.map(|age| age.as_secs()),
            content: summary.content.clone(),
            owner: summary.owner,
            in_use: summary.in_use,
            living: summary.living(),
            dead: summary.dead(),
            capacity: summary.capacity,
            participants: summary.participants.iter().map(Participant::new).collect(),
            entries: summary.entries,
            objects: summary.objects.iter().flatten().map(|e| Object::new(e, summary)).collect(),
            objects_error: summary.objects.as_ref().err().map(|error| chain(error)),
        }
    }

    /// How large it is, and may become.
    fn sizes(&self) -> String {
        let size = bytes(self.size);
        if self.limit > self.size { format!("{size} of {}", bytes(self.limit)) } else { size }
    }

    /// What `--long` adds.
    fn details(&self, terminal: Terminal) -> String {
        let out = format!(
            "\n{}: {} of {}, {} of {}, of user {}{}\n",
            self.file.shown,
            self.living,
            count(self.capacity as usize, "participant"),
            self.objects.len(),
            count(self.entries as usize, "object"),
            self.owner,
            self.age.map(|age| format!(", made {} ago", since::text(age))).unwrap_or_default(),
        );
        let mut out = terminal.wrap(&out);
        if !self.participants.is_empty() {
            let mut rows = Table::new(&["  participant", "state", "pid", "command"]);
            for participant in &self.participants {
                rows.add_row([
                    format!("  {}", participant.id).into(),
                    participant.state.into(),
                    number(participant.pid),
                    shown(&participant.command).into(),
                ]);
            }
            out.push_str(&rows.text(terminal));
        }
        if !self.objects.is_empty() {
            let heads = ["  object", "number", "bytes", "creator", "users", "what it is"];
            let mut rows = Table::new(&heads);
            for object in &self.objects {
                let unlinked = if object.unlinked { ", unlinked" } else { "" };
                rows.add_row([
                    format!("  {}", shown(&object.name)).into(),
                    number(object.generation),
                    number(object.bytes),
                    number(object.creator.as_deref().unwrap_or("?")),
                    number(object.users.len()),
                    format!("{}{unlinked}", shown(&object.shape)).into(),
                ]);
            }
            out.push_str(&rows.text(terminal));
        }
        out
    }
}

impl Participant {
    fn new(member: &Member) -> Self {
        Self {
            id: member.id.to_string(),
            pid: member.person.pid,
            command: member.person.command.clone(),
            state: match member.verdict {
                Verdict::Alive => "alive",
                Verdict::Dead if member.left => "left",
                Verdict::Dead => "dead",
                Verdict::Unknown | Verdict::Nobody => "unknown",
            },
        }
    }
}

impl Object {
    fn new(entry: &Entry, summary: &Summary) -> Self {
        let shape = &entry.shape;
        let lives =
            |member: &&Member| member.verdict != Verdict::Dead && entry.users.contains(&member.id);
        let users = summary.participants.iter().filter(lives);
        let tag = shape.tag.name();
        Self {
            name: entry.name.clone(),
            kind: shape.kind.to_string(),
            r#type: (!tag.is_empty()).then(|| tag.to_owned()),
            length: shape.len,
            bytes: shape.bytes,
            generation: entry.generation,
            creator: entry.creator.map(|id| id.to_string()),
            users: users.map(|member| member.id.to_string()).collect(),
            unlinked: entry.is_unlinked,
            offset: entry.offset,
            elements: elements_at(shape).and_then(|at| at.checked_add(entry.offset)),
            dtype: shape.tag.dtype(),
            shape: shape.to_string(),
        }
    }
}
