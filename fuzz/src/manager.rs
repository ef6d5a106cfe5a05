//! Any bytes as what a client and a manager say to each other: each frame is answered or refused, and nothing panics.

use std::sync::OnceLock;

use shmkit::manager::Wire;

use super::input::Input;

/// The number of the last word that an answer can be.
const LAST: u8 = 12;

/// What is not answered.
const SILENT: [u8; 2] = [3, 12];

/// The types of a manager's own: what makes their objects, and what can be called.
fn types() -> &'static [(u64, [Vec<u64>; 2])] {
    static TYPES: OnceLock<Vec<(u64, [Vec<u64>; 2])>> = OnceLock::new();
    TYPES.get_or_init(Wire::types)
}

/// Runs one input.
///
/// # Panics
///
/// If a frame is not answered that is to be, or with what is no answer.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.byte() % 8 {
        0 => return Wire::hear(input.rest().to_vec()),
        1 => {
            let wire = Wire::new();
            let is_in = wire.hello(input.rest().to_vec());
            assert!(!is_in || bytes[1..].starts_with(b"shmm\x01"), "let in without a hello");
            return;
        }
        2 => {
            ask(&Wire::new(), input.rest().to_vec());
            return;
        }
        _ => {}
    }
    let wire = Wire::new();
    while !input.is_empty() {
        let (kind, [makers, methods]) = &types()[input.below(types().len())];
        let mut frame = Vec::new();
        match input.below(8) {
            0 | 1 => {
                frame.push(1);
                number(&mut frame, *kind);
                number(&mut frame, makers[input.below(makers.len())]);
            }
            2..6 => {
                frame.push(0);
                number(&mut frame, input.below(6) as u64);
                number(&mut frame, methods[input.below(methods.len())]);
            }
            _ => {
                frame.push(2 + input.below(11) as u8);
                number(&mut frame, input.below(8) as u64);
            }
        }
        let len = input.below(24);
        frame.extend((0..len).map(|_| input.byte()));
        ask(&wire, frame);
    }
}

fn ask(wire: &Wire, frame: Vec<u8>) {
    let first = frame.first().copied();
    match wire.ask(frame) {
        Some(answer) => assert!(answer.first().is_some_and(|word| *word <= LAST), "{answer:?}"),
        None => {
            assert!(first.is_some_and(|word| SILENT.contains(&word)), "{first:?} has no answer")
        }
    }
}

/// As postcard writes it.
fn number(frame: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        frame.push(n as u8 | 0x80);
        n >>= 7;
    }
    frame.push(n as u8);
}
