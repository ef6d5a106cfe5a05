//! The ratios as a picture.

use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use plotters::coord::combinators::IntoLogRange;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::machine::Machine;
use crate::{Outcome, Ratio};

/// Height of a row, in pixels.
const ROW: u32 = 18;
/// What is above and below the rows.
const AROUND: u32 = 110;
const WIDTH: u32 = 1180;
/// Width of the names.
const NAMES: u32 = 560;

const KEPT: RGBColor = RGBColor(26, 127, 55);
const MISSED: RGBColor = RGBColor(207, 34, 46);
const PLAIN: RGBColor = RGBColor(87, 96, 106);
const PAPER: RGBColor = WHITE;

/// Draws a row for each ratio: a dot at the median, a line over the middle half of the rounds, and a tick where the limit is.
///
/// # Errors
///
/// If there is no ratio, or the file cannot be written.
pub(crate) fn draw(
    path: &Path,
    machine: &Machine,
    rounds: u32,
    outcomes: &[Outcome],
) -> Result<()> {
    let rows: Vec<(String, &Ratio)> = outcomes
        .iter()
        .flat_map(|outcome| outcome.ratios.iter().map(move |ratio| (name(outcome, ratio), ratio)))
        .collect();
    ensure!(!rows.is_empty(), "no peer was measured, so that there is no ratio to draw");
    paint(path, machine, rounds, &rows)
        .map_err(|error| anyhow!("drawing {}: {error}", path.display()))
}

fn name(outcome: &Outcome, ratio: &Ratio) -> String {
    format!("{}  /  {}", outcome.group, ratio.peer)
}

/// The powers of two between which all lies.
fn ends(rows: &[(String, &Ratio)]) -> (f64, f64) {
    let all = rows.iter().flat_map(|(_, ratio)| {
        [Some(ratio.ratio.lower), Some(ratio.ratio.upper), ratio.limit].into_iter().flatten()
    });
    let (low, high) = all
        .filter(|figure| figure.is_finite() && *figure > 0.0)
        .fold((0.5_f64, 2.0_f64), |(low, high), figure| (low.min(figure), high.max(figure)));
    (low.log2().floor().exp2(), high.log2().ceil().exp2())
}

fn paint(
    path: &Path,
    machine: &Machine,
    rounds: u32,
    rows: &[(String, &Ratio)],
) -> Result<(), Box<dyn std::error::Error>> {
    let count = rows.len() as u32;
    let root = SVGBackend::new(path, (WIDTH, AROUND + ROW * count)).into_drawing_area();
    root.fill(&PAPER)?;
    let small = ("sans-serif", 12).into_font();
    let (above, rest) = root.split_vertically(56);
    let title = "Our time as a multiple of the peer's: left of 1 is faster";
    above.draw(&Text::new(title, (12, 10), ("sans-serif", 17).into_font()))?;
    let machine = format!("{machine}; {rounds} rounds, shuffled");
    above.draw(&Text::new(machine, (12, 34), small.color(&PLAIN)))?;
    let (low, high) = ends(rows);
    let mut chart = ChartBuilder::on(&rest)
        .margin_right(24)
        .x_label_area_size(30)
        .y_label_area_size(NAMES)
        .build_cartesian_2d((low..high).log_scale().base(2.0), f64::from(count)..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .x_labels(12)
        .x_label_formatter(&|x| {
            format!("{x:.2}").trim_end_matches('0').trim_end_matches('.').into()
        })
        .light_line_style(PAPER)
        .label_style(small.clone())
        .draw()?;
    let one = [(1.0, 0.0), (1.0, f64::from(count))];
    chart.draw_series([PathElement::new(one, PLAIN.stroke_width(1))])?;
    let right = small.color(&BLACK).pos(Pos::new(HPos::Right, VPos::Center));
    for (row, (name, ratio)) in rows.iter().enumerate() {
        let y = row as f64 + 0.5;
        let color = match ratio.kept {
            Some(true) => KEPT,
            Some(false) => MISSED,
            None => PLAIN,
        };
        let figure = ratio.ratio;
        let middle = [(figure.lower.max(low), y), (figure.upper.min(high), y)];
        chart.draw_series([PathElement::new(middle, color.stroke_width(2))])?;
        chart.draw_series([Circle::new((figure.median.clamp(low, high), y), 4, color.filled())])?;
        if let Some(limit) = ratio.limit {
            let tick = [(limit, y - 0.4), (limit, y + 0.4)];
            chart.draw_series([PathElement::new(tick, BLACK.stroke_width(1))])?;
        }
        let at = chart.backend_coord(&(low, y));
        root.draw(&Text::new(name.as_str(), (at.0 - 8, at.1), right.clone()))?;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Quartiles;

    fn outcome(median: f64, limit: Option<f64>) -> Outcome {
        let figure = |median: f64| Quartiles { lower: median * 0.9, median, upper: median * 1.1 };
        Outcome {
            group: "a <b> & c",
            ours: "ours",
            nanos: figure(10.0 * median),
            ratios: vec![Ratio {
                peer: "peer",
                nanos: figure(10.0),
                ratio: figure(median),
                limit,
                kept: limit.map(|limit| median <= limit),
            }],
            facts: Vec::new(),
            cache_line: figure(100.0),
        }
    }

    #[test]
    fn a_picture_has_a_row_for_each_ratio() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("figures.svg");
        let outcomes = [outcome(0.01, None), outcome(0.7, Some(1.0)), outcome(9.0, Some(1.0))];
        draw(&path, &Machine::this(), 3, &outcomes).unwrap();
        let picture = std::fs::read_to_string(&path).unwrap();
        assert_eq!(picture.matches("<circle").count(), 3);
        assert_eq!(picture.matches("a &lt;b&gt; &amp; c").count(), 3);
        assert!(draw(&path, &Machine::this(), 3, &[]).is_err(), "nothing to draw");
    }

    #[test]
    fn all_rows_lie_between_two_powers_of_two() {
        let outcomes = [outcome(0.3, None), outcome(1.0, Some(5.0))];
        let rows: Vec<_> =
            outcomes.iter().map(|outcome| (String::new(), &outcome.ratios[0])).collect();
        assert_eq!(ends(&rows), (0.25, 8.0));
    }
}
