//! What keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::{Modifier, Style};

use clap::ValueEnum as _;

use super::rows::Sort;
use super::section::TITLES;

/// What is shown of all that is seen, and how.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// Which section is looked at.
    pub(super) section: usize,
    /// The first row of it that is shown.
    pub(super) top: usize,
    pub(super) sort: Sort,
    pub(super) reverse: bool,
    pub(super) filter: String,
    pub(super) typing: Typing,
    pub(super) paused: bool,
    /// No marks but the words.
    pub(super) plain: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Typing {
    /// Keys are commands.
    #[default]
    Commands,
    /// Keys are letters of the filter.
    Filter,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    Quit,
    /// As if a signal had come.
    Interrupt,
}

impl State {
    pub(super) fn press(&mut self, key: KeyEvent) -> Then {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Then::Interrupt,
                _ => Then::GoOn,
            };
        }
        if self.typing == Typing::Filter {
            match key.code {
                KeyCode::Char(c) => self.filter.push(c),
                KeyCode::Backspace => _ = self.filter.pop(),
                KeyCode::Enter => self.typing = Typing::Commands,
                KeyCode::Esc => {
                    self.filter.clear();
                    self.typing = Typing::Commands;
                }
                _ => {}
            }
            return Then::GoOn;
        }
        match key.code {
            KeyCode::Char('q') => return Then::Quit,
            KeyCode::Esc if self.filter.is_empty() => return Then::Quit,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Tab | KeyCode::Right => self.look_at((self.section + 1) % TITLES.len()),
            KeyCode::BackTab | KeyCode::Left => {
                self.look_at((self.section + TITLES.len() - 1) % TITLES.len());
            }
            KeyCode::Char(digit @ '1'..='4') => self.look_at(digit as usize - '1' as usize),
            KeyCode::Char('s') => self.next_sort(),
            KeyCode::Char('r') => self.reverse = !self.reverse,
            KeyCode::Char('/') => self.typing = Typing::Filter,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Down | KeyCode::Char('j') => self.top += 1,
            KeyCode::Up | KeyCode::Char('k') => self.top = self.top.saturating_sub(1),
            KeyCode::PageDown => self.top += 10,
            KeyCode::PageUp => self.top = self.top.saturating_sub(10),
            KeyCode::Home => self.top = 0,
            _ => {}
        }
        Then::GoOn
    }

    fn look_at(&mut self, section: usize) {
        (self.section, self.top) = (section, 0);
    }

    fn next_sort(&mut self) {
        let all = Sort::value_variants();
        let at = all.iter().position(|sort| *sort == self.sort).unwrap_or(0);
        self.sort = all[(at + 1) % all.len()];
    }

    pub(super) fn sort_name(&self) -> &'static str {
        match self.sort {
            Sort::Busy => "busy",
            Sort::Bytes => "bytes",
            Sort::Fill => "fill",
            Sort::Waiting => "waiting",
            Sort::Held => "held",
            Sort::Name => "name",
        }
    }

    /// A mark, where there are marks.
    pub(super) fn style(&self, mark: Modifier) -> Style {
        if self.plain { Style::new() } else { Style::new().add_modifier(mark) }
    }

    /// Where the next letter comes: shown in any case.
    pub(super) fn cursor(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}
