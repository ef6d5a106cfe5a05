//! `shmkit completions` and `shmkit man`: what shells and readers want to know of the commands, made from their definition.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Command;
use clap_complete::Shell;

use crate::print::print;
use crate::status;

/// Print what a shell needs to complete the commands and options of shmkit.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  shmkit completions bash > ~/.local/share/bash-completion/completions/shmkit"
)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Write the manual: a page for each command.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  shmkit man ~/.local/share/man/man1 && man shmkit-ls")]
pub(crate) struct ManArgs {
    /// The folder to write the pages to, which is made if there is none.
    folder: PathBuf,
}

pub(crate) fn completions(
    args: &CompletionsArgs,
    mut command: Command,
) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "shmkit", &mut text);
    print(&String::from_utf8(text)?)?;
    Ok(status::SUCCESS)
}

pub(crate) fn man(args: &ManArgs, command: Command) -> anyhow::Result<ExitCode> {
    fs::create_dir_all(&args.folder)
        .with_context(|| format!("cannot make {}", args.folder.display()))?;
    let mut command = command.disable_help_subcommand(true);
    command.build();
    page(&command, "shmkit", &args.folder)?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        page(sub, &format!("shmkit-{}", sub.get_name()), &args.folder)?;
    }
    Ok(status::SUCCESS)
}

fn page(command: &Command, name: &str, folder: &Path) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name).render(&mut text)?;
    let file = folder.join(format!("{name}.1"));
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}
