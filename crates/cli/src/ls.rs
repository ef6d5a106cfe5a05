//! `shmkit ls`: the segments of a directory, seen from outside.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use shmkit::tracker::{DIRECTORY, Entry, Found, Member, Summary, Verdict, What, list};

use crate::report::{bytes, chain, count, number, print, print_json, shown, table, text};

/// List segments: what they are, who lives in them, what they hold.
///
/// Nothing is joined, mapped or changed. A segment that nobody lives in is what was left behind when everybody was
/// killed (see `gc`), or persistent.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if everything could be read, 1 if something could not, 2 if nothing could."
)]
pub(crate) struct Args {
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
    let found = list(&args.directory)?;
    let listing = Listing::new(&args.directory, &found);
    if args.json {
        print_json(&listing)?;
    } else {
        print(&listing.table(args))?;
    }
    let unread = !listing.unreadable.is_empty()
        || listing.segments.iter().any(|segment| segment.objects_error.is_some());
    Ok(if unread { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[derive(Debug, Serialize)]
struct Listing {
    directory: String,
    segments: Vec<Segment>,
    /// Called like segments, but none that this program can use.
    foreign: Vec<Other>,
    unreadable: Vec<Other>,
}

#[derive(Debug, Serialize)]
struct Segment {
    name: String,
    path: String,
    kind: &'static str,
    /// In bytes.
    size: u64,
    content: String,
    /// Number of the user it belongs to.
    owner: u32,
    in_use: bool,
    living: usize,
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
    /// Slot and generation: `3.1`.
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
    #[serde(skip)]
    shape: String,
}

#[derive(Debug, Serialize)]
struct Other {
    name: String,
    path: String,
    why: String,
}

impl Listing {
    fn new(directory: &std::path::Path, found: &[Found]) -> Self {
        let mut this = Self {
            directory: directory.display().to_string(),
            segments: Vec::new(),
            foreign: Vec::new(),
            unreadable: Vec::new(),
        };
        for Found { path, name, what, .. } in found {
            let (name, path) = (name.clone(), path.display().to_string());
            match what {
                What::Segment(summary) => this.segments.push(Segment::new(name, path, summary)),
                What::Foreign(why) => this.foreign.push(Other { name, path, why: chain(why) }),
                What::Unreadable(why) => {
                    this.unreadable.push(Other { name, path, why: chain(why) })
                }
                _ => {}
            }
        }
        this
    }

    fn table(&self, args: &Args) -> String {
        let mut out = String::new();
        if self.segments.is_empty() {
            out.push_str(&format!("no segments in {}\n", shown(&self.directory)));
        } else {
            let mut rows = table(&["name", "kind", "size", "living", "dead", "objects", "content"]);
            for segment in &self.segments {
                rows.add_row([
                    shown(&segment.name).into(),
                    segment.kind.into(),
                    number(bytes(segment.size)),
                    number(segment.living),
                    number(segment.dead),
                    match &segment.objects_error {
                        None => number(segment.objects.len()),
                        Some(_) => number("?"),
                    },
                    shown(&segment.content).into(),
                ]);
            }
            out.push_str(&text(&rows));
        }
        if args.long {
            self.segments.iter().for_each(|segment| out.push_str(&segment.details()));
        }
        let mut notes = String::new();
        for segment in &self.segments {
            if let Some(error) = &segment.objects_error {
                notes.push_str(&format!("{}: {}\n", shown(&segment.name), shown(error)));
            }
        }
        for (others, verb) in
            [(&self.foreign, "is no segment"), (&self.unreadable, "cannot be read")]
        {
            for Other { path, why, .. } in others {
                notes.push_str(&format!("{} {verb}: {}\n", shown(path), shown(why)));
            }
        }
        if !notes.is_empty() {
            out.push('\n');
            out.push_str(&notes);
        }
        out
    }
}

impl Segment {
    fn new(name: String, path: String, summary: &Summary) -> Self {
        Self {
            name,
            path,
            kind: if summary.persistent { "persistent" } else { "named" },
            size: summary.size,
            content: summary.content.clone(),
            owner: summary.owner,
            in_use: summary.in_use,
            living: summary.living(),
            dead: summary.dead(),
            capacity: summary.capacity,
            participants: summary.participants.iter().map(Participant::new).collect(),
            entries: summary.entries,
            objects: summary.objects.iter().flatten().map(Object::new).collect(),
            objects_error: summary.objects.as_ref().err().map(|error| chain(error)),
        }
    }

    /// What `--long` adds.
    fn details(&self) -> String {
        let mut out = format!(
            "\n{}: {} of {}, {} of {}\n",
            shown(&self.name),
            self.living,
            count(self.capacity as usize, "participant"),
            self.objects.len(),
            count(self.entries as usize, "object"),
        );
        if !self.participants.is_empty() {
            let mut rows = table(&["  participant", "state", "pid", "command"]);
            for participant in &self.participants {
                rows.add_row([
                    format!("  {}", participant.id).into(),
                    participant.state.into(),
                    number(participant.pid),
                    shown(&participant.command).into(),
                ]);
            }
            out.push_str(&text(&rows));
        }
        if !self.objects.is_empty() {
            let mut rows = table(&["  object", "bytes", "what it is"]);
            for object in &self.objects {
                rows.add_row([
                    format!("  {}", shown(&object.name)).into(),
                    number(object.bytes),
                    shown(&object.shape).into(),
                ]);
            }
            out.push_str(&text(&rows));
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
                Verdict::Dead => "dead",
                Verdict::Unknown | Verdict::Nobody => "unknown",
            },
        }
    }
}

impl Object {
    fn new(entry: &Entry) -> Self {
        let shape = &entry.shape;
        let tag = shape.tag.name();
        Self {
            name: entry.name.clone(),
            kind: shape.kind.to_string(),
            r#type: (!tag.is_empty()).then(|| tag.to_owned()),
            length: shape.len,
            bytes: shape.bytes,
            shape: shape.to_string(),
        }
    }
}
