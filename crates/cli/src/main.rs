//! The shmkit command: see what shared memory does, and what is left of it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

mod bench;
mod call;
mod doctor;
mod export;
mod facts;
mod gc;
mod generate;
mod inspect;
mod ls;
mod print;
mod rm;
mod segments;
mod signals;
mod since;
mod status;
mod stream;
mod table;
mod text;
mod top;
mod tour;
mod waits;
mod watch;
mod words;

/// Shared-memory IPC that survives kill -9.
#[derive(Debug, Parser)]
#[command(name = "shmkit", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Tour(tour::Args),
    Ls(ls::Args),
    Gc(gc::Args),
    Rm(rm::Args),
    Inspect(inspect::Args),
    Deadlocks(waits::DeadlocksArgs),
    WaitChains(waits::ChainsArgs),
    Top(top::Args),
    Doctor(doctor::Args),
    Bench(bench::Args),
    Export(export::Args),
    Send(stream::SendArgs),
    Recv(stream::RecvArgs),
    Call(call::Args),
    Completions(generate::CompletionsArgs),
    Man(generate::ManArgs),
    Watch(watch::Args),
}

#[shmkit::main]
fn main() -> ExitCode {
    let command = Cli::parse().command;
    run(command).unwrap_or_else(|error| match error.downcast_ref::<signals::Interrupted>() {
        // Whoever sent the signal knows.
        Some(interrupted) => ExitCode::from(interrupted.status()),
        None => {
            print::complain(&format!("{error:#}"));
            status::FAILURE
        }
    })
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    signals::hear()?;
    match command {
        Command::Tour(args) => tour::run(args),
        Command::Ls(args) => ls::run(&args),
        Command::Gc(args) => gc::run(&args),
        Command::Rm(args) => rm::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Deadlocks(args) => waits::deadlocks(&args),
        Command::WaitChains(args) => waits::chains(&args),
        Command::Top(args) => top::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Send(args) => stream::send(&args),
        Command::Recv(args) => stream::recv(&args),
        Command::Call(args) => call::run(&args),
        Command::Completions(args) => generate::completions(&args, Cli::command()),
        Command::Man(args) => generate::man(&args, Cli::command()),
        Command::Watch(args) => watch::run(&args),
    }
}
