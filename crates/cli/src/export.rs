//! `shmkit export`: figures of all segments for a monitoring system, in the text that Prometheus reads.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use shmkit::layout::Fact;
use shmkit::tracker::{DIRECTORY, InspectError, Inspection};
use tiny_http::{Header, Method, Request, Response, Server};

use crate::facts;
use crate::print::{complain, print};
use crate::segments;
use crate::signals;
use crate::status;
use crate::words::shown;

/// How often it looks whether a signal asks it to end.
const LOOK: Duration = Duration::from_millis(100);

/// What is exported: its labels, and a number.
type Figures = Family<Vec<(&'static str, String)>, Gauge>;

/// Give figures of all segments to a monitoring system, as the text of Prometheus and OpenMetrics.
///
/// Without --listen they are printed once. With it, they are read anew for every request; segments are looked at, never joined.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if they were given, 1 if not; 130, 143 or 129 if SIGINT, SIGTERM or SIGHUP ended it.\n\nExamples:\n  shmkit export\n  shmkit export --listen 127.0.0.1:9184\n  shmkit export --listen /run/shmkit.sock"
)]
pub(crate) struct Args {
    /// Answer requests for /metrics: on a loopback address, or on a Unix socket, which is made there.
    #[arg(long, value_name = "ADDRESS|PATH")]
    listen: Option<String>,
    /// Where the segments' files are.
    #[arg(long, default_value = DIRECTORY)]
    directory: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(listen) = &args.listen else {
        print(&figures(&args.directory)?)?;
        return Ok(status::SUCCESS);
    };
    signals::tidily(|| {
        let (server, socket) = bind(listen)?;
        let ended = serve(&server, &args.directory);
        if let Some(socket) = socket {
            // It may be gone already.
            let _ = fs::remove_file(socket);
        }
        ended
    })?;
    Ok(status::SUCCESS)
}

/// Listens, and returns the socket's file, if it has one.
fn bind(listen: &str) -> anyhow::Result<(Server, Option<PathBuf>)> {
    if let Ok(address) = listen.parse::<SocketAddr>() {
        if !address.ip().is_loopback() {
            bail!(
                "{address} can be reached from elsewhere: listen on 127.0.0.1 or [::1], behind a server that knows who may read it"
            );
        }
        let server = Server::http(address)
            .map_err(|error| anyhow!("cannot listen on {address}: {error}"))?;
        // The port may have been left to the system.
        if let Some(address) = server.server_addr().to_ip() {
            complain(&format!("listening on http://{address}/metrics"));
        }
        return Ok((server, None));
    }
    let path = Path::new(listen);
    if !listen.contains('/') {
        bail!(
            "{} is no address like 127.0.0.1:9184, and no path: write ./{0} for a file",
            shown(listen)
        );
    }
    if path.symlink_metadata().is_ok_and(|file| file.file_type().is_socket())
        && std::os::unix::net::UnixStream::connect(path).is_err()
    {
        // Of one that was killed.
        fs::remove_file(path).with_context(|| format!("cannot remove {}", shown(path)))?;
    }
    let server = Server::http_unix(path)
        .map_err(|error| anyhow!("cannot listen on {}: {error}", shown(path)))?;
    complain(&format!("listening on {}", shown(path)));
    Ok((server, Some(path.to_owned())))
}

fn serve(server: &Server, directory: &Path) -> anyhow::Result<()> {
    loop {
        signals::look()?;
        if let Some(request) = server.recv_timeout(LOOK).context("cannot listen any more")? {
            answer(request, directory);
        }
    }
}

/// Answers one request. Whoever goes away before its answer is none of our troubles.
fn answer(request: Request, directory: &Path) {
    let path = request.url().split('?').next().unwrap_or_default();
    let response = match (request.method(), path) {
        (Method::Get, "/metrics") => match figures(directory) {
            Ok(text) => Response::from_string(text),
            Err(error) => Response::from_string(format!("{error:#}\n")).with_status_code(500),
        },
        (Method::Get, _) => {
            Response::from_string("the figures are at /metrics\n").with_status_code(404)
        }
        _ => Response::from_string("GET only\n").with_status_code(405),
    };
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let header = Header::from_bytes("Content-Type", kind).expect("a header");
    let _ = request.respond(response.with_header(header));
}

/// All families of figures.
#[derive(Default)]
struct All {
    segments: Figures,
    bytes: Figures,
    resident: Figures,
    participants: Figures,
    objects: Figures,
    states: Figures,
    named: Figures,
}

fn figures(directory: &Path) -> anyhow::Result<String> {
    let all = All::default();
    for found in segments::all(directory)? {
        let kind = match &found {
            Ok(Inspection { summary, .. }) if summary.in_use => "live",
            Ok(Inspection { summary, .. }) if summary.persistent => "persistent",
            Ok(_) => "orphan",
            Err(InspectError::Foreign(_)) => "foreign",
            Err(_) => "unreadable",
        };
        all.segments.get_or_create(&vec![("state", kind.to_owned())]).inc();
        if let Ok(inspection) = found {
            all.add(&inspection);
        }
    }
    let mut registry = Registry::with_prefix("shmkit");
    registry.register("segments", "Segments, by what becomes of them", all.segments);
    let bytes = "Size of the segment";
    registry.register_with_unit("segment", bytes, Unit::Bytes, all.bytes);
    let resident = "Memory that the segment takes";
    registry.register_with_unit("segment_resident", resident, Unit::Bytes, all.resident);
    registry.register(
        "participants",
        "Processes in the segment, living and dead",
        all.participants,
    );
    registry.register("objects", "Objects in the segment, by kind", all.objects);
    registry.register("object_state", "What the object's words say, by question", all.states);
    let named = "Participants that the object names: who holds it, or has an end of it";
    registry.register("object_named", named, all.named);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

impl All {
    fn add(&self, inspection: &Inspection) {
        let segment = || ("segment", inspection.name.clone());
        let summary = &inspection.summary;
        set(&self.bytes, vec![segment()], summary.size);
        set(&self.resident, vec![segment()], inspection.summary.resident);
        for (state, count) in [("living", summary.living()), ("dead", summary.dead())] {
            set(&self.participants, vec![segment(), ("state", state.to_owned())], count as u64);
        }
        for entry in summary.objects.iter().flatten() {
            let kind = || ("kind", entry.shape.kind.to_string());
            self.objects.get_or_create(&vec![segment(), kind()]).inc();
            let object = || vec![segment(), ("object", entry.name.clone()), kind()];
            for (what, fact) in facts::of(inspection, entry).iter() {
                let value = match fact {
                    Fact::Number(number) => number,
                    Fact::Is(is) => is.into(),
                    _ => continue,
                };
                let mut labels = object();
                labels.push(("what", what.replace(' ', "_")));
                set(&self.states, labels, value);
            }
            let named = inspection.named(entry).iter().filter(|holder| holder.is_alive).count();
            set(&self.named, object(), named as u64);
        }
    }
}

fn set(figures: &Figures, labels: Vec<(&'static str, String)>, value: u64) {
    figures.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
}
