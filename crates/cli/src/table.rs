//! Tables for people: columns where they fit, else a paragraph for each row.

use comfy_table::{Attribute, CellAlignment, ColumnConstraint, ContentArrangement, Width, presets};
use unicode_width::UnicodeWidthStr;

use crate::print::Terminal;

/// A cell of a [`Table`].
#[derive(Debug)]
pub(crate) struct Cell {
    text: String,
    is_number: bool,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), is_number: false }
    }
}

/// A cell with a number in it.
pub(crate) fn number(value: impl ToString) -> Cell {
    Cell { text: value.to_string(), is_number: true }
}

/// Rows under a line of headings.
#[derive(Debug)]
pub(crate) struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { headings: headings.iter().map(|&heading| heading.into()).collect(), rows: vec![] }
    }

    pub(crate) fn add_row<const N: usize>(&mut self, row: [Cell; N]) {
        self.rows.push(row.into());
    }

    /// The same; as many as there are headings.
    pub(crate) fn add_cells(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// Returns the table as lines. No word of it is ever broken.
    pub(crate) fn text(&self, terminal: Terminal) -> String {
        let narrowest: Vec<_> = (0..self.headings.len()).map(|n| self.narrowest(n)).collect();
        // A blank on both sides of each column; none before the first.
        let needed = narrowest.iter().map(|width| width + 2).sum::<usize>() - 1;
        match terminal.columns {
            Some(columns) if columns < needed => self.paragraphs(terminal),
            _ => self.columns(terminal, &narrowest),
        }
    }

    /// How wide the longest word of a column is.
    fn narrowest(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| &cell.text);
        let words = cells.chain([&self.headings[column]]).flat_map(|text| text.split(' '));
        words.map(UnicodeWidthStr::width).max().unwrap_or(0)
    }

    fn columns(&self, terminal: Terminal, narrowest: &[usize]) -> String {
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::NOTHING);
        match terminal.columns {
            Some(columns) => {
                table.set_width(columns.min(u16::MAX.into()) as u16);
                table.set_content_arrangement(ContentArrangement::Dynamic);
            }
            None => _ = table.set_content_arrangement(ContentArrangement::Disabled),
        }
        _ = if terminal.bold { table.enforce_styling() } else { table.force_no_tty() };
        let heading = |text: &String| comfy_table::Cell::new(text).add_attribute(Attribute::Bold);
        table.set_header(self.headings.iter().map(heading));
        for row in &self.rows {
            table.add_row(row.iter().map(|cell| {
                let shown = comfy_table::Cell::new(&cell.text);
                if cell.is_number { shown.set_alignment(CellAlignment::Right) } else { shown }
            }));
        }
        for (n, &width) in narrowest.iter().enumerate() {
            let Some(column) = table.column_mut(n) else { continue };
            let padding = if n == 0 { (0, 1) } else { (1, 1) };
            column.set_padding(padding);
            // The constraint counts the blanks, too.
            let width = width + usize::from(padding.0) + usize::from(padding.1);
            let width = Width::Fixed(width.min(u16::MAX.into()) as u16);
            column.set_constraint(ColumnConstraint::LowerBoundary(width));
        }
        table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    /// What is in the first column as a line, and the others below it, each after its heading.
    fn paragraphs(&self, terminal: Terminal) -> String {
        let mut out = String::new();
        for row in &self.rows {
            let Some((first, rest)) = row.split_first() else { continue };
            let indent = " ".repeat(first.text.len() - first.text.trim_start().len() + 2);
            out += &format!("{}\n", first.text);
            for (cell, heading) in rest.iter().zip(&self.headings[1..]) {
                if !cell.text.is_empty() {
                    out += &format!("{indent}{heading}: {}\n", cell.text);
                }
            }
        }
        terminal.wrap(&out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["name", "size", "why"]);
        table.add_row([
            "a-name-of-22-characters".into(),
            number("64 B"),
            "nobody lives in it".into(),
        ]);
        table
    }

    fn at(columns: usize) -> String {
        table().text(Terminal { columns: Some(columns), bold: false })
    }

    #[test]
    fn no_word_is_broken_at_any_width() {
        for columns in 1..100 {
            let text = at(columns);
            for word in ["a-name-of-22-characters", "nobody", "lives", "64"] {
                assert!(text.contains(word), "{columns}: {text}");
            }
            // The longest word is a line of its own then.
            let widest = text.lines().map(UnicodeWidthStr::width).max().unwrap();
            assert!(widest <= columns.max(23), "{columns}: {text}");
        }
    }

    #[test]
    fn a_row_that_does_not_fit_is_a_paragraph() {
        let narrow = "a-name-of-22-characters\n  size: 64 B\n  why: nobody\n    lives in it\n";
        assert_eq!(at(16), narrow);
        assert!(at(80).starts_with("name  "));
        let wide = table().text(Terminal { columns: None, bold: false });
        assert_eq!(wide.lines().count(), 2, "{wide}");
    }

    #[test]
    fn headings_are_bold_only_where_that_is_wanted() {
        assert!(!at(80).contains('\u{1b}'));
        assert!(table().text(Terminal { columns: Some(80), bold: true }).contains("\u{1b}[1m"));
    }
}
