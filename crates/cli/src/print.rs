//! The one place that prints, and what it knows of the terminal.

use std::env;
use std::io::{self, IsTerminal, Write};

use anyhow::{Context, Result};
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

/// Where standard output goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    /// Width of a line, if it is a terminal.
    pub(crate) columns: Option<usize>,
    /// Whether headings may be bold.
    pub(crate) bold: bool,
}

impl Terminal {
    /// Looks where standard output goes.
    pub(crate) fn here() -> Self {
        if !io::stdout().is_terminal() {
            return Self { columns: None, bold: false };
        }
        let columns = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { columns, bold: !plain && !is_dumb() }
    }

    /// Breaks lines that are too long for the terminal between their words. What goes on is indented.
    pub(crate) fn wrap(self, text: &str) -> String {
        let Some(columns) = self.columns else { return text.to_owned() };
        text.split_inclusive('\n').map(|line| wrap(line, columns)).collect()
    }
}

/// Whether the terminal cannot move its cursor: no bar is drawn on it.
pub(crate) fn is_dumb() -> bool {
    env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// Breaks one line, with or without its end. A word that is longer than a line stays whole.
fn wrap(line: &str, columns: usize) -> String {
    if line.trim_end().width() <= columns {
        return line.to_owned();
    }
    let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
    let indent = text.len() - text.trim_start().len();
    let mut out = " ".repeat(indent);
    let (mut used, mut empty) = (indent, true);
    for word in text.split_whitespace() {
        if !empty && used + 1 + word.width() > columns {
            out.push('\n');
            out.push_str(&" ".repeat(indent + 2));
            (used, empty) = (indent + 2, true);
        }
        if !empty {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        (used, empty) = (used + word.width(), false);
    }
    out + end
}

/// Writes to standard output. Whoever reads it may have seen enough: a closed pipe is no error.
///
/// # Errors
///
/// If it cannot be written: a full disk above all.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}

/// Writes a value as JSON, with a line end.
///
/// # Errors
///
/// As [`print`].
pub(crate) fn print_json(value: &impl Serialize) -> Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// Says to standard error what is wrong. If that cannot be written, there is nobody to tell.
pub(crate) fn complain(what: &str) {
    let _ = writeln!(io::stderr(), "shmkit: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        let wrap = |text| Terminal { columns: Some(12), bold: false }.wrap(text);
        assert_eq!(wrap("one two\nthree\n"), "one two\nthree\n");
        assert_eq!(wrap("  one two three four\nx"), "  one two\n    three\n    four\nx");
        assert_eq!(wrap("größe größer x\n"), "größe größer\n  x\n");
        assert_eq!(wrap("a /a/path/that/is/long b"), "a\n  /a/path/that/is/long\n  b");
        assert_eq!(wrap("twelve chars\n"), "twelve chars\n");
    }

    #[test]
    fn what_is_no_terminal_has_lines_of_any_length() {
        let long = "word ".repeat(100);
        assert_eq!(Terminal { columns: None, bold: false }.wrap(&long), long);
    }
}
