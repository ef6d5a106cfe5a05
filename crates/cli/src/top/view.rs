//! The screen: a line of what there is in all, a table for each sort of thing, and a line of keys.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::keys::{State, Typing};
use super::rows::Rows;
use super::section::Section;

/// Lines that a section takes which is not the one that is looked at: its headings, and this many rows at most.
const SMALL: usize = 3;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, state: &mut State, rows: &Rows) {
    let area = frame.area();
    let sections = rows.sections();
    let heights = heights(area.height.saturating_sub(2), state.section, &sections);
    let lines = [Constraint::Length(1)];
    let middle = heights.iter().map(|&height| Constraint::Length(height));
    let all = lines.into_iter().chain(middle).chain([Constraint::Fill(1), Constraint::Length(1)]);
    let parts = Layout::vertical(all).split(area);
    let bold = state.style(Modifier::BOLD);
    let head = format!("shmkit top  {}", rows.totals.text());
    frame.render_widget(Paragraph::new(Line::styled(fit(&head, area.width), bold)), parts[0]);
    for (n, section) in sections.iter().enumerate() {
        let height = parts[n + 1].height;
        if n == state.section {
            let room = usize::from(height.saturating_sub(1));
            state.top = state.top.min(section.rows.len().saturating_sub(room));
        }
        let from = if n == state.section { state.top } else { 0 };
        table(frame, parts[n + 1], section, (n, from), state);
    }
    let keys = Paragraph::new(keys(state, area.width));
    frame.render_widget(keys, parts[parts.len() - 1]);
}

/// How many lines each section gets: the one that is looked at what the others leave, and these a few.
fn heights(lines: u16, looked_at: usize, sections: &[Section]) -> Vec<u16> {
    let lines = usize::from(lines);
    let wish = |section: &Section| 1 + section.rows.len();
    let mut heights: Vec<_> = sections.iter().map(|it| wish(it).min(1 + SMALL)).collect();
    let others = |heights: &[usize]| heights.iter().sum::<usize>() - heights[looked_at];
    // Where even that is too much, headings alone.
    for small in (0..SMALL).rev() {
        if others(&heights) + 4 <= lines {
            break;
        }
        heights.iter_mut().for_each(|height| *height = (*height).min(1 + small));
    }
    heights[looked_at] =
        wish(&sections[looked_at]).min(lines.saturating_sub(others(&heights)).max(1));
    // What is left is for who wants more, from the first on.
    for n in 0..heights.len() {
        let left = lines.saturating_sub(heights.iter().sum());
        heights[n] = wish(&sections[n]).min(heights[n] + left);
    }
    heights.into_iter().map(|height| height as u16).collect()
}

fn table(
    frame: &mut Frame<'_>,
    area: Rect,
    section: &Section,
    (number, from): (usize, usize),
    state: &State,
) {
    let rows = section.rows.iter().skip(from).take(usize::from(area.height.saturating_sub(1)));
    let rows: Vec<&Vec<String>> = rows.collect();
    let widths = widths(area.width, section);
    let is_looked_at = number == state.section;
    let mark = if is_looked_at { Modifier::REVERSED } else { Modifier::BOLD };
    let head = section.columns.iter().enumerate().map(|(n, column)| match n {
        // The key that leads there.
        0 => format!("{} {} ({})", number + 1, section.title, section.rows.len()),
        _ => column.heading.to_owned(),
    });
    let cells = |texts: Vec<String>| {
        let of = |(n, text): (usize, String)| {
            let (width, text) = (widths[n], fit(&text, widths[n]));
            let blanks = usize::from(width).saturating_sub(text.width());
            Cell::new(match section.columns[n].is_number {
                true => format!("{}{text}", " ".repeat(blanks)),
                false => text,
            })
        };
        Row::new(texts.into_iter().enumerate().map(of).collect::<Vec<_>>())
    };
    let header = cells(head.collect()).style(state.style(mark));
    let constraints = widths.iter().map(|&width| Constraint::Length(width));
    let body = rows.into_iter().map(|row| cells(row.clone()));
    frame.render_widget(Table::new(body, constraints).header(header).column_spacing(1), area);
}

/// How wide the columns are: as wide as what is in them, but that the names take what is left, and give up of what there is not.
fn widths(width: u16, section: &Section) -> Vec<u16> {
    let wide = |n: usize| {
        let cells = section.rows.iter().filter_map(|row| row.get(n)).map(|text| text.width());
        cells.chain([section.columns[n].heading.width()]).max().unwrap_or(0) as u16
    };
    let mut widths: Vec<_> = (0..section.columns.len()).map(wide).collect();
    let room = width.saturating_sub(widths.len() as u16 - 1);
    // Texts are cut before numbers, the longest first, and names last.
    let mut over = widths.iter().skip(1).sum::<u16>().saturating_sub(room.saturating_sub(NAME));
    for n in (1..widths.len()).filter(|&n| !section.columns[n].is_number) {
        let cut = over.min(widths[n].saturating_sub(SHORT));
        widths[n] -= cut;
        over -= cut;
    }
    widths[0] = room.saturating_sub(widths.iter().skip(1).sum());
    widths
}

/// Columns that a name has at least, if there are as many; and another text.
const NAME: u16 = 20;
const SHORT: u16 = 8;

/// Cuts a text that is too wide, and says so.
fn fit(text: &str, width: u16) -> String {
    let width = usize::from(width);
    if text.width() <= width {
        return text.to_owned();
    }
    let (mut out, mut used) = (String::new(), 1);
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        out.push(c);
    }
    if width > 0 { out + "…" } else { out }
}

fn keys(state: &State, width: u16) -> Line<'static> {
    let bold = state.style(Modifier::BOLD);
    if state.typing == Typing::Filter {
        let left = format!("filter: {}", state.filter);
        return Line::from(vec![Span::styled(left, bold), Span::styled(" ", state.cursor())]);
    }
    let order = if state.reverse { "least" } else { "most" };
    let mut out = format!("q quit  tab section  s sort: {} ({order} first)  ", state.sort_name());
    out += "r reverse  / filter";
    if !state.filter.is_empty() {
        out += &format!(": {}", state.filter);
    }
    out += if state.paused { "  p PAUSED" } else { "  p pause" };
    Line::from(Span::raw(fit(&out, width)))
}

#[cfg(test)]
mod tests;
