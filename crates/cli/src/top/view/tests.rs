use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::top::keys::Then;
use crate::top::rows::{Flow, Holder, Lock, Orphan, Pool, Sort, Totals};

fn flow(object: &str, kind: &str, per_second: f64) -> Flow {
    Flow {
        segment: "kitchen".into(),
        object: object.into(),
        kind: kind.into(),
        per_second: Some(per_second),
        bytes_per_second: Some(per_second * 8.0),
        inside: 12,
        of: 64,
        fill: Some(12.0 / 64.0),
        waiting: 1,
        closed: false,
    }
}

fn lock(object: &str, waiting: usize) -> Lock {
    let holder =
        Holder { pid: 4711, command: "cook\u{1b}[2J".into(), alive: object != "pan", seconds: 3.2 };
    Lock {
        segment: "kitchen".into(),
        object: object.into(),
        kind: "mutex".into(),
        holders: vec![holder.clone(), Holder { pid: 4712, ..holder }],
        held: 0.8,
        waiting,
        waited_for: 0.5,
        longest_wait: Some(0.25),
    }
}

fn rows() -> Rows {
    let long = "a-name-that-is-longer-than-what-there-is-room-for-on-a-narrow-screen";
    Rows {
        totals: Totals {
            segments: 12,
            unnamed: 3,
            resident: 5 << 20,
            living: 34,
            dead: 2,
            seconds: Some(1.0),
            ..Totals::default()
        },
        flows: vec![flow("orders", "queue", 1_234_567.0), flow(long, "pipe", 12.0)],
        locks: (0..30).map(|n| lock(if n == 0 { "pan" } else { "oven" }, 30 - n)).collect(),
        pools: vec![Pool {
            segment: "4711:9".into(),
            per_second: Some(950.0),
            queued: 17,
            of: 1024,
            workers: 4,
            busy: 3,
            longest: Some(0.0421),
        }],
        orphans: vec![Orphan {
            segment: "left".into(),
            content: "weather/1".into(),
            size: 1 << 20,
            resident: 1 << 16,
            dead: 2,
        }],
    }
}

fn screen((width, height): (u16, u16), state: &mut State) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let rows = rows();
    terminal.draw(|frame| draw(frame, state, &rows)).unwrap();
    let text = terminal.backend().to_string();
    // Without the quotes and blanks around each line.
    text.lines().map(|line| format!("{}\n", line.trim_matches('"').trim_end())).collect()
}

fn press(state: &mut State, code: KeyCode) -> Then {
    state.press(KeyEvent::new(code, KeyModifiers::NONE))
}

#[test]
fn a_screen_has_all_sections_however_small_it_is() {
    insta::assert_snapshot!("80x24", screen((80, 24), &mut State::default()));
    insta::assert_snapshot!("200x50", screen((200, 50), &mut State::default()));
    let mut looked_at = State { section: 1, top: 5, ..State::default() };
    insta::assert_snapshot!("80x24-locks", screen((80, 24), &mut looked_at));
    for size in [(1, 1), (20, 3), (40, 6), (300, 100)] {
        for section in 0..4 {
            let mut state = State { section, top: 1000, ..State::default() };
            let text = screen(size, &mut state);
            assert!(!text.contains('\u{1b}'), "{text:?}");
        }
    }
}

#[test]
fn keys_do_what_the_last_line_says() {
    let mut state = State::default();
    for (code, section) in [(KeyCode::Tab, 1), (KeyCode::Char('4'), 3), (KeyCode::Tab, 0)] {
        assert_eq!((press(&mut state, code), state.section), (Then::GoOn, section));
    }
    press(&mut state, KeyCode::Char('s'));
    press(&mut state, KeyCode::Char('r'));
    press(&mut state, KeyCode::Char('p'));
    assert_eq!((state.sort, state.reverse, state.paused), (Sort::Bytes, true, true));
    for c in "/pqn".chars() {
        assert_eq!(press(&mut state, KeyCode::Char(c)), Then::GoOn, "{c} is a letter there");
    }
    press(&mut state, KeyCode::Backspace);
    press(&mut state, KeyCode::Enter);
    assert_eq!((&*state.filter, state.typing), ("pq", Typing::Commands));
    let last = |state: &mut State| screen((100, 10), state).lines().last().unwrap().to_owned();
    assert!(last(&mut state).contains("sort: bytes (least first)"), "{}", last(&mut state));
    assert!(last(&mut state).contains("filter: pq"), "{}", last(&mut state));
    assert_eq!(press(&mut state, KeyCode::Esc), Then::GoOn, "it takes the filter away");
    assert_eq!(press(&mut state, KeyCode::Char('q')), Then::Quit);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(state.press(interrupt), Then::Interrupt);
}

#[test]
fn rows_are_sorted_and_filtered() {
    let mut rows = rows();
    rows.sort(Sort::Waiting, true);
    assert_eq!((rows.locks[0].waiting, rows.locks[29].waiting), (1, 30));
    rows.sort(Sort::Busy, false);
    assert_eq!((&*rows.flows[0].object, &*rows.locks[0].object), ("orders", "pan"));
    rows.sort(Sort::Name, false);
    assert!(rows.flows[0].object.starts_with("a-name"));
    rows.filter("kitchen/o");
    let left = [rows.flows.len(), rows.locks.len(), rows.pools.len(), rows.orphans.len()];
    assert_eq!(left, [1, 29, 0, 0]);
    rows.filter("cook");
    assert_eq!((rows.flows.len(), rows.locks.len()), (0, 29), "by who holds it");
}
