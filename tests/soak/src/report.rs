//! What came of it.

use std::fmt;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) ok: bool,
    pub(crate) seconds: f64,
    pub(crate) seed: u64,
    pub(crate) processes: usize,
    pub(crate) kills: u64,
    pub(crate) stops: u64,
    pub(crate) primitives: Vec<Row>,
    pub(crate) violations: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// How often it was used.
    pub(crate) uses: u64,
    /// How often somebody was told that its owner had died.
    pub(crate) told: u64,
    /// The longest use, less what it meant to wait.
    pub(crate) slowest_ms: f64,
}

impl Report {
    /// Decides whether all is well.
    pub(crate) fn judge(&mut self) {
        self.ok = self.violations.is_empty()
            && self.kills > 0
            && self.primitives.iter().all(|row| row.uses > 1);
    }

    fn slowest(&self) -> f64 {
        self.primitives.iter().map(|row| row.slowest_ms).fold(0.0, f64::max)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(ASCII_MARKDOWN).set_header(["primitive", "uses", "told", "slowest ms"]);
        for row in &self.primitives {
            table.add_row([
                row.name.to_owned(),
                row.uses.to_string(),
                row.told.to_string(),
                format!("{:.2}", row.slowest_ms),
            ]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "{table}")?;
        writeln!(
            f,
            "{} processes for {:.0} s (seed {}): {} kills, {} stops; {} recoveries from a death, the slowest \
             use {:.1} ms; {} violations",
            self.processes,
            self.seconds,
            self.seed,
            self.kills,
            self.stops,
            self.primitives.iter().map(|row| row.told).sum::<u64>(),
            self.slowest(),
            self.violations.len()
        )?;
        for what in &self.violations {
            writeln!(f, "  {what}")?;
        }
        f.write_str(if self.ok { "ok" } else { "NOT ok" })
    }
}
