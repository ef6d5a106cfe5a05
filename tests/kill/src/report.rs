//! The report: a row for each scene.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};

use crate::{Kind, Tally};

/// What came of one scene.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    /// What the scene is called.
    pub scene: String,
    /// Kills, each at another point.
    pub points: u32,
    /// Takes in which a survivor did not get through.
    pub hung: usize,
    /// Takes in which half-written data was taken for whole.
    pub torn: usize,
    /// Takes in which two owned what one may own.
    pub double_owner: usize,
    /// Takes after which something was left behind.
    pub leaked: usize,
    /// Takes in which the harness itself failed.
    pub broken: usize,
    /// The worst time from a kill to the last survivor's getting through, in milliseconds.
    pub worst_ms: f64,
    /// The median of it, in milliseconds.
    pub median_ms: f64,
    /// How long the scene took, in seconds.
    pub seconds: f64,
    /// What went wrong, and at which point.
    pub faults: Vec<String>,
}

impl Row {
    /// Makes the row of a tally.
    pub fn new(scene: &str, tally: &Tally) -> Self {
        let point = |point: u32| match point {
            u32::MAX => "after the end".to_owned(),
            point => format!("point {point}"),
        };
        Self {
            scene: scene.to_owned(),
            points: tally.points,
            hung: tally.count(Kind::Hung),
            torn: tally.count(Kind::Torn),
            double_owner: tally.count(Kind::DoubleOwner),
            leaked: tally.count(Kind::Leaked),
            broken: tally.count(Kind::Broken),
            worst_ms: tally.worst().as_secs_f64() * 1e3,
            median_ms: tally.median().as_secs_f64() * 1e3,
            seconds: tally.elapsed.as_secs_f64(),
            faults: tally
                .faults
                .iter()
                .map(|(at, fault)| format!("{}: {fault}", point(*at)))
                .collect(),
        }
    }

    /// Makes the row of a scene that was not played, for this reason.
    pub fn broken(scene: &str, why: String) -> Self {
        Self { scene: scene.to_owned(), broken: 1, faults: vec![why], ..Self::default() }
    }

    /// Returns whether nothing went wrong.
    pub fn ok(&self) -> bool {
        self.faults.is_empty()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scene, points, faults, seconds, .. } = self;
        write!(f, "{scene}: {points} kills, {} bad, {seconds:.0} s", faults.len())
    }
}

/// Returns the rows as people read them, with a last line that sums them up.
pub fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header([
        "scene",
        "points",
        "hung",
        "torn",
        "double owner",
        "leaked",
        "worst ms",
        "median ms",
        "s",
    ]);
    for row in rows {
        table.add_row(cells(row));
    }
    let sum = |of: fn(&Row) -> usize| rows.iter().map(of).sum();
    let most = |of: fn(&Row) -> f64| rows.iter().map(of).fold(0.0, f64::max);
    let mut medians: Vec<f64> = rows.iter().map(|row| row.median_ms).collect();
    medians.sort_unstable_by(f64::total_cmp);
    if rows.len() > 1 {
        table.add_row(cells(&Row {
            scene: "all".to_owned(),
            points: rows.iter().map(|row| row.points).sum(),
            hung: sum(|row| row.hung),
            torn: sum(|row| row.torn),
            double_owner: sum(|row| row.double_owner),
            leaked: sum(|row| row.leaked),
            broken: sum(|row| row.broken),
            worst_ms: most(|row| row.worst_ms),
            median_ms: medians[medians.len() / 2],
            seconds: rows.iter().map(|row| row.seconds).sum(),
            faults: Vec::new(),
        }));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn cells(row: &Row) -> [String; 9] {
    [
        row.scene.clone(),
        row.points.to_string(),
        row.hung.to_string(),
        row.torn.to_string(),
        row.double_owner.to_string(),
        row.leaked.to_string(),
        format!("{:.2}", row.worst_ms),
        format!("{:.2}", row.median_ms),
        format!("{:.1}", row.seconds),
    ]
}
