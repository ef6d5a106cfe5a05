//! What people see: a screen, with its words whole.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::thread;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{OpenptyResult, Winsize, openpty};
use shmkit::Options;

use crate::support::tree;

/// Makes a terminal, both sides of it: what another test starts meanwhile has none of them.
pub(crate) fn pty(columns: u16, lines: u16) -> (OwnedFd, OwnedFd) {
    let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let OpenptyResult { master, slave } = openpty(&size, None).unwrap();
    for side in [&master, &slave] {
        fcntl(side, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    }
    (master, slave)
}

/// Runs the command on a terminal of so many columns, and returns what it showed there.
#[track_caller]
fn show(columns: u16, command: &mut Command) -> String {
    let (code, text) = ended(columns, command);
    assert_eq!(code, Some(0), "{text}");
    text
}

/// The same, and with which status it ended.
#[track_caller]
pub(crate) fn ended(columns: u16, command: &mut Command) -> (Option<i32>, String) {
    let (master, slave) = pty(columns, 24);
    let screen = thread::spawn(move || {
        let (mut text, mut terminal) = (Vec::new(), File::from(master));
        // EIO at the end: nobody has the other side any more.
        let _ = terminal.read_to_end(&mut text);
        String::from_utf8(text).unwrap().replace("\r\n", "\n")
    });
    let error: OwnedFd = slave.try_clone().unwrap();
    let status = command.stdin(Stdio::null()).stdout(slave).stderr(error).status().unwrap();
    // What still holds the terminal's other side would keep its reader.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let text = screen.join().unwrap();
    (status.code(), text)
}

pub(crate) fn shmkit(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shmkit"));
    command.args(args).env("TERM", "xterm").env_remove("NO_COLOR");
    command
}

/// Every line fits, or is one word.
#[track_caller]
pub(crate) fn fits(text: &str, columns: usize) {
    for line in text.lines() {
        let words = line.split_whitespace().count();
        assert!(line.chars().count() <= columns || words == 1, "{line:?} in {text}");
    }
}

#[test]
fn a_tour_is_one_screen() {
    // Bigger than any name or count that a tour of sources has.
    let (dir, ..) = tree();
    let mut command = shmkit(&["tour"]);
    // Without paths, as most will run it: one line more.
    std::fs::rename(dir.path().join("folder/39"), dir.path().join("39.md")).unwrap();
    let text = show(80, command.current_dir(dir.path()).env("TERM", "dumb"));
    fits(&text, 80);
    // The last line is for the prompt.
    assert!(text.lines().count() <= 23, "{} lines: {text}", text.lines().count());
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert!(text.contains("OK: every figure agrees"), "{text}");
}

#[test]
fn no_word_is_broken_on_a_narrow_terminal() {
    let (dir, ..) = tree();
    let text = show(40, shmkit(&["tour"]).arg(dir.path()).env("TERM", "dumb"));
    fits(&text, 40);
    let words: Vec<_> = text.split_whitespace().collect();
    for word in ["histogram", "process", "half-way", "processes"] {
        assert!(words.contains(&word), "{word} in {text}");
    }

    let folder = tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap();
    let name = "a-segment-with-a-name-of-some-length";
    let options = Options::new(1 << 14).directory(folder.path()).content("some-content/12");
    let _segment = options.create(name).unwrap();
    for command in ["ls", "gc"] {
        let text = show(40, shmkit(&[command, "--directory"]).arg(folder.path()));
        fits(&text, 40);
        assert!(text.lines().any(|line| line.trim() == name), "{text}");
    }
}

#[test]
fn headings_are_bold_unless_somebody_asks_for_plain_text() {
    let folder = tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap();
    let _segment = Options::new(1 << 14).directory(folder.path()).create("x").unwrap();
    let list = || {
        let mut command = shmkit(&["ls", "--directory"]);
        command.arg(folder.path());
        command
    };
    assert!(show(80, &mut list()).contains("\u{1b}[1m"));
    assert!(show(80, list().env("NO_COLOR", "")).contains("\u{1b}[1m"), "empty is unset");
    assert!(!show(80, list().env("NO_COLOR", "1")).contains('\u{1b}'));
    assert!(!show(80, list().env("TERM", "dumb")).contains('\u{1b}'));
}
