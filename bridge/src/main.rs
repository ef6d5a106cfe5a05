//! `shmkit-bridge`: what lies in named segments of this machine, for other machines.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use shmkit::{Broadcast, Entry, Item, MessageQueue, Queue, Segment, ShmMap, ShmSafe, TypeTag};
use shmkit_bridge::{Config, Node, Served};

/// Let other machines use queues, broadcasts and maps that lie in segments of this one.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve what lies in named segments, until it is ended.
    ///
    /// Each is said as SEGMENT/OBJECT, or as SEGMENT/OBJECT=NAME if others are to know it by another name than the object's. The values are
    /// numbers, or bytes and texts of any length; of a type of a program's own, that program serves it, by `shmkit_bridge::Node`.
    ///
    /// A pool cannot be served so: its tasks are functions of a program, which serves it itself, by `Node::serve_pool`.
    #[command(
        after_help = "Exit status: 1 if something is not served; else it runs until a signal ends it.\n\nExample:\n  shmkit-bridge serve --queue shop/orders --map shop/prices --listen tcp/0.0.0.0:7447"
    )]
    Serve(Serve),
}

#[derive(Debug, clap::Args)]
struct Serve {
    /// A queue, or a queue of messages; several, if said several times, as of the following.
    #[arg(long, value_name = "SEGMENT/OBJECT[=NAME]")]
    queue: Vec<String>,
    /// A broadcast.
    #[arg(long, value_name = "SEGMENT/OBJECT[=NAME]")]
    broadcast: Vec<String>,
    /// A map.
    #[arg(long, value_name = "SEGMENT/OBJECT[=NAME]")]
    map: Vec<String>,
    /// A pool: refused, and it is said what to do.
    #[arg(long, value_name = "NAME", hide = true)]
    pool: Option<String>,
    /// Where others can connect, as tcp/0.0.0.0:7447.
    #[arg(long, value_name = "ENDPOINT")]
    listen: Vec<String>,
    /// Whom to connect to, as tcp/10.0.0.7:7447.
    #[arg(long, value_name = "ENDPOINT")]
    connect: Vec<String>,
    /// What this machine is called; by default its own name.
    #[arg(long)]
    host: Option<String>,
    /// A configuration of zenoh's: TLS, passwords, access control.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> Result<()> {
    let Command::Serve(args) = Cli::parse().command;
    if let Some(name) = &args.pool {
        bail!(
            "a pool's tasks are functions of a program: have that program serve the pool {name:?}, by `Node::serve_pool` of the crate shmkit-bridge"
        );
    }
    if args.queue.is_empty() && args.broadcast.is_empty() && args.map.is_empty() {
        bail!("there is nothing to serve: name a --queue, a --broadcast or a --map");
    }
    let mut config = Config::new();
    config = args.listen.iter().fold(config, |config, endpoint| config.listen(endpoint));
    config = args.connect.iter().fold(config, |config, endpoint| config.connect(endpoint));
    if let Some(host) = &args.host {
        config = config.host(host);
    }
    if let Some(file) = &args.config {
        config = config.file(file);
    }
    // Before the network: what is not there is told at once.
    let queues = places(&args.queue)?;
    let broadcasts = places(&args.broadcast)?;
    let maps = places(&args.map)?;
    let node = Node::open(&config)?;
    let mut served = Vec::new();
    for place in queues {
        served.push(place.queue(&node).with_context(|| place.to_string())?);
    }
    for place in broadcasts {
        served.push(place.broadcast(&node).with_context(|| place.to_string())?);
    }
    for place in maps {
        served.push(place.map(&node).with_context(|| place.to_string())?);
    }
    println!("{} things are served as host {}", served.len(), node.host());
    loop {
        // Until a signal ends it: then the kernel closes its connections, and gives back what it had taken.
        std::thread::park();
    }
}

/// An object in a segment, and what others call it.
struct Place {
    segment: Segment,
    entry: Entry,
    name: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.entry)
    }
}

fn places(all: &[String]) -> Result<Vec<Place>> {
    all.iter().map(|text| place(text)).collect()
}

fn place(text: &str) -> Result<Place> {
    let (segment, object) = text
        .split_once('/')
        .with_context(|| format!("{text:?} was given, where SEGMENT/OBJECT was expected"))?;
    let (object, name) = object.split_once('=').unwrap_or((object, object));
    let found = Segment::open(segment)?;
    let mut entries = found.objects()?;
    let at = entries.iter().position(|entry| entry.name == object);
    let Some(at) = at else {
        let names: Vec<_> = entries.iter().map(|entry| &*entry.name).collect();
        bail!("segment {segment:?} has no object {object:?}, but {names:?}");
    };
    Ok(Place { segment: found, entry: entries.swap_remove(at), name: name.to_owned() })
}

/// Does something with the type among those named that has this tag.
macro_rules! by_type {
    ($run:ident($place:expr, $node:expr), [$($T:ty)*]) => {
        match $place.entry.shape.tag {
            $(tag if tag == <$T as ShmSafe>::TAG => $run::<$T>($place, $node),)*
            tag => Err(unknown(&tag)),
        }
    };
}

fn unknown(tag: &TypeTag) -> anyhow::Error {
    anyhow::anyhow!(
        "its values are of type {tag}, which this program does not have: have the program that does serve it, by `shmkit_bridge::Node`"
    )
}

impl Place {
    fn queue(&self, node: &Node) -> Result<Served> {
        if self.entry.shape.kind.name() == "messages" {
            let queue: MessageQueue = self.segment.find(&self.entry.name)?;
            return Ok(node.serve_messages(&self.name, &queue)?);
        }
        fn serve<T: ShmSafe>(place: &Place, node: &Node) -> Result<Served> {
            let queue: Queue<T> = place.segment.find(&place.entry.name)?;
            Ok(node.serve_queue(&place.name, &queue)?)
        }
        by_type!(serve(self, node), [u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64])
    }

    fn broadcast(&self, node: &Node) -> Result<Served> {
        fn serve<T: ShmSafe>(place: &Place, node: &Node) -> Result<Served> {
            let broadcast: Broadcast<T> = place.segment.find(&place.entry.name)?;
            Ok(node.serve_broadcast(&place.name, &broadcast)?)
        }
        by_type!(serve(self, node), [u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64])
    }

    fn map(&self, node: &Node) -> Result<Served> {
        fn try_one<Q: Item + ?Sized + 'static, V: Item + ?Sized + 'static>(
            place: &Place,
            node: &Node,
        ) -> Option<Result<Served>> {
            (TypeTag::pair(Q::TAG, V::TAG) == place.entry.shape.tag).then(|| {
                let map: ShmMap<Q, V> = place.segment.find(&place.entry.name)?;
                Ok(node.serve_map(&place.name, &map)?)
            })
        }
        macro_rules! with_keys {
            ($($Q:ty)*) => {
                [$(
                    try_one::<$Q, str>, try_one::<$Q, [u8]>, try_one::<$Q, u32>, try_one::<$Q, u64>,
                    try_one::<$Q, i32>, try_one::<$Q, i64>, try_one::<$Q, f32>, try_one::<$Q, f64>,
                )*]
            };
        }
        type Try = fn(&Place, &Node) -> Option<Result<Served>>;
        let all: &[Try] = &with_keys!(str [u8] u32 u64 i32 i64);
        let found = all.iter().find_map(|one| one(self, node));
        found.unwrap_or_else(|| Err(unknown(&self.entry.shape.tag)))
    }
}
