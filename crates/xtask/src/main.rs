//! The developer's commands: `cargo xtask ci | test | lint | loom | kill | pause | soak | storm | linked | faults | fuzz | bench | versus | bridge | cpython`.
#![forbid(unsafe_code)]

mod faults;
mod linked;
mod msrv;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

/// The crates that have loom models, and where: in a test of their own, or beside what nobody else sees.
const LOOM: [(&str, &[&str]); 8] = [
    ("shmkit-sync", &["--test", "loom"]),
    ("shmkit-heap", &["--test", "loom"]),
    ("shmkit-pipe", &["--test", "loom"]),
    ("shmkit-queue", &["--test", "loom"]),
    ("shmkit-pool", &["--test", "loom"]),
    ("shmkit-roster", &["--lib"]),
    ("shmkit-cell", &["--lib"]),
    ("shmkit-segment", &["--lib"]),
];
/// The fuzz targets.
const FUZZ: [&str; 19] = [
    "attach",
    "bridge",
    "broadcast",
    "collections",
    "connection",
    "directory",
    "frames",
    "handshake",
    "heap",
    "list",
    "manager",
    "messages",
    "ops",
    "ordered",
    "parcel",
    "queue",
    "ring",
    "schema",
    "set",
];

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The developer's commands of shmkit", version)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// All that must pass before a change lands: test, lint, loom
    Ci,
    /// The test command of the README
    Test,
    /// rustfmt, clippy and rustdoc, warnings denied
    Lint,
    /// Every loom model
    Loom {
        /// How often the scheduler may preempt a thread; 3 is deep and takes longer
        #[arg(long, default_value_t = 2)]
        preemptions: u32,
    },
    /// Kill at every instruction (release build); try `-- --help`
    Kill {
        /// Passed on to the harness
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Use everything at once from many processes, and kill them at random (release build); try `-- --help`
    Soak {
        /// Passed on to the program
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Create, attach and register from 200 processes that are killed at random: nothing may be left (release build)
    Storm {
        /// Passed on to the program
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Seed faults into a copy of the code, one at a time: each must be caught by its check
    Faults(faults::Args),
    /// Programs that run tasks, by every linker and profile
    Linked {
        /// Only the ways whose name contains one of these
        names: Vec<String>,
    },
    /// Pause at every instruction while another operation runs beside it (release build); try `-- --help`
    Pause {
        /// Passed on to the harness
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Fuzz every target, or the ones named
    Fuzz {
        /// For how long, each, in seconds
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// All, if none is named: they are the folders of `fuzz/corpus`
        targets: Vec<String>,
    },
    /// Ratios against named peers in one run (release build)
    Bench {
        /// Passed on to the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// The bridge to other machines: lints, and hosts that are killed and cut off (release build; zenoh takes minutes the first time)
    Bridge {
        /// Its benchmark beside zenoh's own queries instead
        #[arg(long)]
        bench: bool,
        /// Passed on to the tests
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// The interpreter's own tests of multiprocessing over the binding and over the stock module (release build); try `-- --help`
    Cpython {
        /// Passed on to the comparison
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Ratios against `raw_sync` and `shared_memory`, in a package of their own
    Versus {
        /// Passed on to the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Task::Ci => {
            test()?;
            for (package, feature) in [
                ("shmkit-pipe", "serde"),
                ("shmkit-segment", "serde,shared_memory"),
                ("shmkit-sync", "lock_api"),
            ] {
                run(&mut cargo(["test", "--package", package, "--features", feature]))?;
            }
            let told = ["--package", "shmkit", "--features", "tracing", "--test", "told"];
            run(cargo(["test"]).args(told))?;
            lint()?;
            loom(2)
        }
        Task::Test => test(),
        Task::Lint => lint(),
        Task::Loom { preemptions } => loom(preemptions),
        Task::Kill { args } => {
            run(cargo(["run", "--release", "--package", "shmkit-kill", "--"]).args(args))
        }
        Task::Soak { args } => {
            let soak = ["run", "--release", "--package", "shmkit-soak", "--bin", "soak", "--"];
            run(cargo(soak).args(args))
        }
        Task::Storm { args } => {
            let storm = ["run", "--release", "--package", "shmkit-soak", "--bin", "storm", "--"];
            run(cargo(storm).args(args))
        }
        Task::Faults(args) => faults::run(&args),
        Task::Linked { names } => linked::run(&names),
        Task::Pause { args } => {
            run(cargo(["run", "--release", "--package", "shmkit-kill", "--", "--pause"]).args(args))
        }
        Task::Fuzz { seconds, targets } => fuzz(seconds, &targets),
        Task::Bench { args } => {
            run(cargo(["run", "--release", "--package", "shmkit-benches", "--"]).args(args))
        }
        Task::Bridge { bench, args } => bridge(bench, &args),
        Task::Cpython { args } => python("bindings/python/tests/compare.py", args),
        Task::Versus { args } => {
            let manifest = root().join("benches/versus/Cargo.toml");
            run(cargo(["run", "--release", "--manifest-path"]).arg(manifest).arg("--").args(args))
        }
    }
}

fn test() -> Result<()> {
    run(&mut cargo(["test", "--workspace"]))
}

fn lint() -> Result<()> {
    msrv::check(&root())?;
    run(&mut cargo(["fmt", "--all", "--check"]))?;
    let clippy =
        ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    run(&mut cargo(clippy))?;
    run(cargo(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

/// loom's build goes into a folder of its own: another `--cfg` is another build of everything.
fn loom(preemptions: u32) -> Result<()> {
    for (package, target) in LOOM {
        run(cargo(["test", "--release", "--package", package])
            .args(target)
            .env("RUSTFLAGS", "--cfg loom -D warnings")
            .env("CARGO_TARGET_DIR", root().join("target/loom"))
            .env("LOOM_MAX_PREEMPTIONS", preemptions.to_string()))?;
    }
    Ok(())
}

fn fuzz(seconds: u32, targets: &[String]) -> Result<()> {
    for target in targets {
        if !FUZZ.contains(&target.as_str()) {
            bail!("no fuzz target \"{target}\": there are {}", FUZZ.join(", "));
        }
    }
    if !cargo(["fuzz", "--version"]).output().is_ok_and(|output| output.status.success()) {
        run(&mut cargo(["install", "--locked", "cargo-fuzz"]))?;
    }
    for target in FUZZ {
        if targets.is_empty() || targets.iter().any(|t| t == target) {
            // cargo-fuzz asks for a nightly compiler's flags, which the stable one has behind this switch.
            run(cargo(["fuzz", "run", target, "--", &format!("-max_total_time={seconds}")])
                .env("RUSTC_BOOTSTRAP", "1"))?;
        }
    }
    Ok(())
}

/// A package of its own, with a lock file of its own.
fn bridge(bench: bool, args: &[OsString]) -> Result<()> {
    let manifest = root().join("bridge/Cargo.toml");
    let own = |command: &str| {
        let mut own = cargo([command, "--manifest-path"]);
        own.arg(&manifest);
        own
    };
    if bench {
        return run(own("bench").args(["--bench", "remote"]));
    }
    run(own("fmt").arg("--check"))?;
    run(own("clippy").args(["--release", "--all-targets", "--", "-D", "warnings"]))?;
    run(own("test").args(["--release", "--"]).args(args))
}

/// Runs a script where the binding is installed, in an environment that is made for it; the interpreter is `SHMKIT_PYTHON`.
fn python(script: &str, args: Vec<OsString>) -> Result<()> {
    let mut command = Command::new(std::env::var_os("SHMKIT_PYTHON").unwrap_or("python3".into()));
    command.arg(root().join("bindings/python/tests/environment.py")).arg("--release");
    run(command.arg(root().join(script)).args(args))
}

fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// The workspace: where cargo says that this package lies now, since a checkout may have moved after the build.
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(here).join("../..")
}

/// Runs a command to its end; shows it, and how long it took.
fn run(command: &mut Command) -> Result<()> {
    let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let program = command.get_program().to_string_lossy();
    let shown = format!("{} {}", program.rsplit('/').next().unwrap_or(&program), args.join(" "));
    eprintln!("xtask: {shown}");
    let began = Instant::now();
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    eprintln!("xtask: {shown}: {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}
