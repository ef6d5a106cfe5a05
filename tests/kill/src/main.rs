//! The kill harness: `cargo xtask kill`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use shmkit_kill::scenes::fault::Seeded;
use shmkit_kill::scenes::random::{self, Chaos};
use shmkit_kill::{Plan, Points, Row, Scene, crew, run, scenes, table};

/// The scene that kills at random moments instead of at every point.
const RANDOM: &str = "random";

/// Kills a process at every instruction of every operation, and looks at what the survivors see.
///
/// Prints, for each scene: kill points; survivors that hung, that saw torn data, that owned what another owned; what
/// leaked; and how long survivors took to get through after a kill. All counts are zero, or it exits with 1.
#[derive(Debug, Parser)]
#[command(name = "kill", version)]
struct Args {
    /// Scenes to play, or what their names begin with [default: all but `random`]
    #[arg(value_name = "SCENE")]
    scenes: Vec<String>,
    /// The same; may be given several times
    #[arg(long = "scene", value_name = "NAME")]
    more: Vec<String>,
    /// List the scenes and the seeded faults
    #[arg(long)]
    list: bool,
    /// Play every Nth kill point only [default: every one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    stride: Option<u32>,
    /// Play about N kill points of each scene only, evenly chosen
    #[arg(long, value_name = "N", conflicts_with = "stride", value_parser = clap::value_parser!(u32).range(1..))]
    points: Option<u32>,
    /// Play every kill point, but of those between which nothing changes that survivors may see only one: shared memory and
    /// what system calls do
    #[arg(long, conflicts_with_all = ["stride", "points", "pause", "control"])]
    changes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Play so many scenes at once [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// Play the scenes of exactly these names for this process, and end with it
    #[arg(long, value_name = "PID", hide = true)]
    crew_of: Option<i32>,
    /// Also play `random`, for so many minutes (10 if it is named with --scene) [default: not at all]
    #[arg(long, value_name = "N")]
    minutes: Option<f64>,
    /// Play the scene with this seeded fault: exits with 0 if it is found
    #[arg(long, value_name = "NAME", conflicts_with_all = ["scenes", "more", "self_test"])]
    fault: Option<String>,
    /// Play every seeded fault: exits with 0 if each is found
    #[arg(long)]
    self_test: bool,
    /// Instead of killing, stop one operation at every instruction while another one runs beside it; at about 400 of
    /// those that spin for thousands
    #[arg(long, conflicts_with_all = ["minutes", "fault", "self_test"])]
    pause: bool,
    /// Instead of our locks, kill the users of glibc's: exits with 0 if that finds something in each kind
    #[arg(long, conflicts_with_all = ["minutes", "fault", "self_test", "pause"])]
    control: bool,
}

impl Args {
    /// The scenes that are meant.
    fn scenes(&self) -> Vec<Scene> {
        match (self.pause, self.control) {
            (true, _) => scenes::pause::all(),
            (_, true) => scenes::glibc::all(),
            _ => scenes::all(),
        }
    }

    /// Whether a scene of this name is meant by `asked`.
    fn means(&self, asked: &str, scene: &Scene) -> bool {
        if self.crew_of.is_some() { scene.name == asked } else { scene.name.starts_with(asked) }
    }

    /// How many scenes to play at once.
    fn jobs(&self) -> usize {
        let asked = self.jobs.map(|jobs| jobs as usize);
        asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()))
    }

    /// What says to another process of this program how to play.
    fn for_crew(&self) -> Vec<String> {
        let mut args = Vec::new();
        args.extend(self.pause.then(|| "--pause".to_owned()));
        args.extend(self.control.then(|| "--control".to_owned()));
        args.extend(self.stride.map(|stride| format!("--stride={stride}")));
        args.extend(self.points.map(|points| format!("--points={points}")));
        args.extend(self.changes.then(|| "--changes".to_owned()));
        args
    }

    /// A bar that draws when it is told to: a thread of its own would be a second one in a process that forks.
    fn bar(&self, name: &str) -> ProgressBar {
        if self.crew_of.is_some() {
            // There is one already.
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::no_length();
        let style = ProgressStyle::with_template("{prefix:28} {bar:30} {pos}/{len} {msg}");
        bar.set_style(style.expect("the template is a constant"));
        bar.set_prefix(name.to_owned());
        bar
    }

    fn points(&self) -> Points {
        match (self.stride, self.points) {
            _ if self.changes => Points::Changes,
            (Some(stride), _) => Points::Every(stride),
            (None, Some(points)) => Points::About(points),
            // A pause is dear: the victim is looked at after every step.
            (None, None) if self.pause => Points::EveryUnlessLong(400),
            (None, None) => Points::Every(1),
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scenes: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    random: Option<Chaos>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    seeded: Vec<Found>,
}

/// What came of a seeded fault.
#[derive(Debug, Serialize)]
struct Found {
    name: &'static str,
    expected: String,
    ok: bool,
    points: u32,
    faults: Vec<String>,
}

fn main() -> ExitCode {
    let mut args = Args::parse();
    args.scenes.append(&mut args.more);
    if let Some(director) = args.crew_of {
        // Nobody needs it when who started it is gone; or has gone before this line.
        let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
        if nix::unistd::getppid().as_raw() != director {
            return ExitCode::FAILURE;
        }
    }
    if args.list {
        list(&args);
        return ExitCode::SUCCESS;
    }
    let report = match &args.fault {
        None if args.self_test => seeded(scenes::fault::all(), &args),
        None => play(&args),
        Some(name) => {
            let mut faults = scenes::fault::all();
            faults.retain(|fault| fault.name == name);
            if faults.is_empty() {
                return unknown("seeded fault", name);
            }
            seeded(faults, &args)
        }
    };
    match report {
        Ok(report) => {
            show(&report, args.json);
            if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(name) => unknown("scene", &name),
    }
}

/// Plays the scenes asked for; fails with a name that no scene has.
fn play(args: &Args) -> Result<Report, String> {
    let mut all = args.scenes();
    for name in &args.scenes {
        if name != RANDOM && !all.iter().any(|scene| args.means(name, scene)) {
            return Err(name.clone());
        }
    }
    all.retain(|scene| {
        args.scenes.is_empty() || args.scenes.iter().any(|name| args.means(name, scene))
    });
    let rows = if all.len() > 1 && args.jobs() > 1 {
        together(&all, args)
    } else {
        let plan = Plan { points: args.points(), patience: 3 };
        all.iter().map(|scene| one(scene, plan, &args.bar(&scene.name))).collect()
    };
    let named = args.scenes.iter().any(|name| name == RANDOM);
    let minutes = args.minutes.or(named.then_some(10.0));
    let random = minutes.map(|minutes| {
        let time = Duration::from_secs_f64((minutes * 60.0).max(0.0));
        let bar = args.bar(RANDOM);
        bar.set_length(time.as_secs());
        let chaos = random::run(time, &mut |gone, kills| {
            bar.set_position(gone.as_secs());
            bar.set_message(format!("s, {kills} kills"));
        });
        bar.finish_and_clear();
        chaos
    });
    let ok = if args.control { found(&rows) } else { rows.iter().all(Row::ok) };
    let ok = ok && random.as_ref().is_none_or(|chaos| chaos.ok);
    Ok(Report { ok, scenes: rows, random, seeded: Vec::new() })
}

/// Whether the control has found something in each kind of lock (`glibc/<kind>/…`), and nothing in the harness.
fn found(rows: &[Row]) -> bool {
    let kind = |row: &Row| row.scene.split('/').nth(1).map(str::to_owned);
    let fails = |row: &Row| rows.iter().any(|other| kind(other) == kind(row) && !other.ok());
    rows.iter().all(|row| row.broken == 0 && fails(row))
}

/// Plays scenes with faults in them.
fn seeded(faults: Vec<Seeded>, args: &Args) -> Result<Report, String> {
    let found: Vec<Found> = faults
        .into_iter()
        .map(|seeded| {
            // What is wrong in one place is found only if every place is tried.
            let points = if seeded.finds.is_some() { Points::Every(1) } else { args.points() };
            let plan = Plan { points, patience: 1 };
            let row = one(&seeded.scene, plan, &args.bar(&seeded.scene.name));
            let prefix = seeded.finds.map(|kind| format!(": {kind}: "));
            let ok = match &prefix {
                Some(prefix) => row.faults.iter().any(|fault| fault.contains(prefix.as_str())),
                None => row.ok(),
            };
            Found {
                name: seeded.name,
                expected: seeded.finds.map_or("nothing".to_owned(), |kind| kind.to_string()),
                ok,
                points: row.points,
                faults: row.faults,
            }
        })
        .collect();
    Ok(Report { ok: found.iter().all(|f| f.ok), scenes: Vec::new(), random: None, seeded: found })
}

/// Plays scenes beside each other, with a progress bar.
fn together(scenes: &[Scene], args: &Args) -> Vec<Row> {
    let bar = args.bar("scenes");
    bar.set_length(scenes.len() as u64);
    let mut watch = |done, names: &[&str]| {
        bar.set_position(done as u64);
        bar.set_message(names.join(", "));
    };
    // Whoever ends a long run that nobody watches has what it found until then.
    let mut ended = |row: &Row| {
        if bar.is_hidden() {
            eprintln!("{row}");
        }
    };
    let rows = crew::play(scenes, &args.for_crew(), args.jobs(), &mut watch, &mut ended);
    bar.finish_and_clear();
    rows
}

/// Plays one scene with a progress bar.
fn one(scene: &Scene, plan: Plan, bar: &ProgressBar) -> Row {
    let tally = run(scene, plan, &mut |tally, length| {
        bar.set_length(u64::from(length.max(tally.points)));
        bar.set_position(u64::from(tally.points));
        if !tally.faults.is_empty() {
            bar.set_message(format!("{} faults", tally.faults.len()));
        }
    });
    bar.finish_and_clear();
    Row::new(&scene.name, &tally)
}

fn show(report: &Report, json: bool) {
    if json {
        println!("{}", serde_json::to_string_pretty(report).expect("numbers and strings"));
        return;
    }
    if !report.scenes.is_empty() {
        println!("{}", table(&report.scenes));
    }
    for row in &report.scenes {
        for fault in &row.faults {
            println!("{}: {fault}", row.scene);
        }
    }
    if let Some(chaos) = &report.random {
        println!("{chaos}");
    }
    for found in &report.seeded {
        let verdict = if found.ok { "as it must" } else { "WRONG" };
        let what = found.faults.first().map_or("nothing", String::as_str);
        println!(
            "{}: expected {}, found after {} kills: {what} ({verdict})",
            found.name, found.expected, found.points
        );
    }
    println!("{}", if report.ok { "ok" } else { "NOT ok" });
}

fn list(args: &Args) {
    for scene in args.scenes() {
        println!("{:28} {}", scene.name, scene.about);
    }
    if args.pause || args.control {
        return;
    }
    println!("{RANDOM:28} kills and stops at random moments over create, join, leave and sweep");
    println!("\nseeded faults (--fault, --self-test):");
    for fault in scenes::fault::all() {
        let finds = fault.finds.map_or("nothing".to_owned(), |kind| kind.to_string());
        println!("{:28} {}; must find: {finds}", fault.name, fault.scene.about);
    }
}

fn unknown(what: &str, name: &str) -> ExitCode {
    eprintln!("there is no {what} called {name}; --list names them all");
    ExitCode::from(2)
}
