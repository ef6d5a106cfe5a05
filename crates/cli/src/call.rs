//! `shmkit call`: a task of a running program's pool, for scripts.

use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use shmkit::call::{Callable, Client};

use crate::print::{Terminal, print, print_json};
use crate::status;
use crate::table::Table;
use crate::words::{seconds, shown};

/// Call a task of a running program's pool, and print what it returns.
///
/// The program says which of its tasks may be called, by `shmkit::call::Server`; without a task they are listed. Each argument is
/// JSON, or a string where it is none: '"5"' is the string 5. A string that the task returns is printed as it is, everything else as
/// JSON. Only programs of the same user are called.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if the task has returned, 1 if it has failed or was not called; 130, 143 or 129 if SIGINT, SIGTERM or SIGHUP ended it: the call is called off then, if it has not begun.\n\nExamples:\n  shmkit call kitchen\n  shmkit call kitchen cook soup 3\n  shmkit call kitchen cook --timeout 2.5 --json '\"5\"' null | jq ."
)]
pub(crate) struct Args {
    /// The name by which the program serves.
    name: String,
    /// The task: its name, or the last part of that.
    task: Option<String>,
    /// What the task takes: JSON, or strings.
    #[arg(allow_negative_numbers = true)]
    args: Vec<String>,
    /// For how many seconds to wait. Then the call is called off, or its worker is killed if it has begun. Without, as long as the
    /// program lets it take.
    #[arg(long, value_parser = seconds)]
    timeout: Option<Duration>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// What is listed.
#[derive(Serialize)]
struct List<'a> {
    name: &'a str,
    tasks: &'a [Callable],
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut client = Client::new(&args.name)?;
    if let Some(limit) = args.timeout {
        client = client.timeout(limit);
    }
    let Some(task) = &args.task else {
        list(args, &client.tasks()?)?;
        return Ok(status::SUCCESS);
    };
    let given = args.args.iter().map(|arg| parsed(arg)).collect::<Result<Vec<_>, _>>()?;
    let returned: Box<RawValue> = client.call(task, &given)?;
    match serde_json::from_str::<String>(returned.get()) {
        Ok(text) if !args.json => print(&(text + "\n"))?,
        _ => print(&format!("{returned}\n"))?,
    }
    Ok(status::SUCCESS)
}

/// An argument as JSON: as it is, or the string that it is.
fn parsed(arg: &str) -> serde_json::Result<Box<RawValue>> {
    serde_json::from_str(arg).or_else(|_| to_raw_value(arg))
}

fn list(args: &Args, tasks: &[Callable]) -> anyhow::Result<()> {
    if args.json {
        return print_json(&List { name: &args.name, tasks });
    }
    let mut table = Table::new(&["task", "signature"]);
    for task in tasks {
        table.add_row([shown(&task.name).into(), shown(&task.signature).into()]);
    }
    print(&table.text(Terminal::here()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_json_or_the_string_that_it_is() {
        let parsed = |arg| parsed(arg).unwrap().get().to_owned();
        for json in
            ["5", "-0.5", "true", "null", "[1, {\"a\": 2}]", "\"5\"", "18446744073709551616"]
        {
            assert_eq!(parsed(json), json);
        }
        let strings = [
            ("soup", "\"soup\""),
            ("", "\"\""),
            ("[1", "\"[1\""),
            ("5 a", "\"5 a\""),
            ("a\"b\n", "\"a\\\"b\\n\""),
        ];
        for (arg, json) in strings {
            assert_eq!(parsed(arg), json);
        }
    }
}
