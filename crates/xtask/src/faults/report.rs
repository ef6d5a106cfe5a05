//! Which check caught which fault.

use std::fmt;
use std::time::Duration;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use super::check::Outcome;
use super::list::Fault;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    faults: Vec<Row>,
    pub(crate) survived: usize,
    seconds: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Row {
    name: String,
    what: String,
    file: String,
    check: String,
    caught: bool,
    how: String,
    seconds: f64,
}

impl Row {
    /// A fault that was not tried, because its check fails without it.
    pub(crate) fn useless(fault: &Fault, outcome: &Outcome) -> Self {
        let how = format!("NOT TRIED: without the fault as well, {outcome}");
        Self { caught: false, how, ..Self::new(fault, outcome, Duration::ZERO) }
    }

    pub(crate) fn new(fault: &Fault, outcome: &Outcome, took: Duration) -> Self {
        Self {
            name: fault.name.clone(),
            what: fault.what.clone(),
            file: fault.file.clone(),
            check: fault.check.to_string(),
            // What does not compile shows nothing.
            caught: !matches!(outcome, Outcome::Passed | Outcome::Unbuilt(_)),
            how: match outcome {
                Outcome::Passed => "NOT CAUGHT".to_owned(),
                other => other.to_string(),
            },
            seconds: took.as_secs_f64(),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, how, seconds, .. } = self;
        write!(f, "{name}: {how} ({seconds:.0} s)")
    }
}

impl Report {
    pub(crate) fn new(faults: Vec<Row>, took: Duration) -> Self {
        let survived = faults.iter().filter(|row| !row.caught).count();
        Self { faults, survived, seconds: took.as_secs_f64() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["fault", "what is wrong", "check", "how it was caught"]);
        for row in &self.faults {
            table.add_row([&row.name, &row.what, &row.check, &row.how]);
        }
        writeln!(f, "{table}")?;
        let count = self.faults.len();
        write!(f, "{} of {count} faults caught in {:.0} s", count - self.survived, self.seconds)
    }
}
