//! The figures as a picture.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::combinators::IntoLogRange;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Report, time};

/// Height of a row, in pixels.
const ROW: u32 = 26;
/// What is above and below the rows.
const AROUND: u32 = 110;
const WIDTH: u32 = 900;
/// Width of the names.
const NAMES: u32 = 300;

const INK: RGBColor = RGBColor(9, 105, 218);
const PLAIN: RGBColor = RGBColor(87, 96, 106);

/// Draws a row for each figure: a dot at the median, and a line over the middle half of the rounds.
///
/// # Errors
///
/// If the file cannot be written.
pub(super) fn draw(path: &Path, report: &Report) -> Result<()> {
    paint(path, report).map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))
}

/// The powers of ten between which all lies.
fn ends(report: &Report) -> (f64, f64) {
    let all = report.figures.iter().flat_map(|figure| [figure.nanos.lower, figure.nanos.upper]);
    let (low, high) = all
        .filter(|nanos| nanos.is_finite() && *nanos > 0.0)
        .fold((f64::INFINITY, 0.0_f64), |(low, high), nanos| (low.min(nanos), high.max(nanos)));
    if high == 0.0 {
        return (1.0, 10.0);
    }
    let low = 10_f64.powf(low.log10().floor());
    (low, 10_f64.powf(high.log10().ceil()).max(low * 10.0))
}

fn paint(path: &Path, report: &Report) -> Result<(), Box<dyn std::error::Error>> {
    let count = report.figures.len() as u32;
    let root = SVGBackend::new(path, (WIDTH, AROUND + ROW * count)).into_drawing_area();
    root.fill(&WHITE)?;
    let small = ("sans-serif", 13).into_font();
    let (above, rest) = root.split_vertically(56);
    let title = Text::new("shmkit on this machine", (12, 10), ("sans-serif", 17).into_font());
    above.draw(&title)?;
    let line = time(report.line.median);
    let machine = format!("{}; {} rounds; a cache line {line}", report.machine, report.rounds);
    above.draw(&Text::new(machine, (12, 34), small.color(&PLAIN)))?;
    let (low, high) = ends(report);
    let mut chart = ChartBuilder::on(&rest)
        .margin_right(24)
        .x_label_area_size(30)
        .y_label_area_size(NAMES)
        .build_cartesian_2d((low..high).log_scale(), f64::from(count)..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .x_label_formatter(&|nanos| time(*nanos))
        .light_line_style(WHITE)
        .label_style(small.clone())
        .draw()?;
    let right = small.color(&BLACK).pos(Pos::new(HPos::Right, VPos::Center));
    for (row, figure) in report.figures.iter().enumerate() {
        let y = row as f64 + 0.5;
        let nanos = figure.nanos;
        let middle = [(nanos.lower, y), (nanos.upper, y)];
        chart.draw_series([PathElement::new(middle, INK.stroke_width(3))])?;
        chart.draw_series([Circle::new((nanos.median, y), 5, INK.filled())])?;
        let at = chart.backend_coord(&(low, y));
        let name = format!("{}, {}", figure.what, time(nanos.median));
        root.draw(&Text::new(name, (at.0 - 8, at.1), right.clone()))?;
    }
    root.present()?;
    Ok(())
}
