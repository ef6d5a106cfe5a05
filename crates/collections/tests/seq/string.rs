//! A text is changed as the standard string is, and is checked.

use shmkit_collections::{SeqError, ShmBytes, ShmString};
use shmkit_roster::model::ModelJudge;

use crate::support::{Memory, whole};

type Text<'m> = ShmString<&'m ModelJudge>;

#[test]
fn a_text_is_changed_as_the_standard_string_is() {
    let memory = Memory::new(1 << 18);
    let text = memory.make::<Text<'_>>(1 << 18);
    let other = memory.open::<Text<'_>>(1).unwrap();
    assert_eq!((text.get().as_deref(), text.pop()), (Ok(""), Ok(None)));
    let mut model = String::new();
    let mut random = fastrand::Rng::with_seed(2);
    for step in 0..3000_usize {
        let word = ["a", "öß", "€", "𝄞 ", ""][step % 5];
        let boundaries: Vec<_> =
            model.char_indices().map(|(at, _)| at).chain([model.len()]).collect();
        let at = boundaries[random.usize(..boundaries.len())];
        match random.u32(..8) {
            0..3 => {
                model.push_str(word);
                text.push_str(word).unwrap();
            }
            3 => assert_eq!(other.pop(), Ok(model.pop())),
            4 => {
                model.insert_str(at, word);
                text.insert_str(at, word).unwrap();
            }
            5 => {
                model.replace_range(at.., word);
                other.replace_range(at.., word).unwrap();
            }
            6 => {
                model.push('ж');
                text.push('ж').unwrap();
            }
            _ => {
                model.truncate(at);
                text.truncate(at).unwrap();
                text.update(|text| text.insert(0, '-')).unwrap();
                model.insert(0, '-');
            }
        }
        assert_eq!(other.get().as_ref(), Ok(&model), "after step {step}");
        assert_eq!(text.len(), model.len());
    }
    text.set("short").unwrap();
    assert_eq!(other.lock().unwrap().as_bytes(), b"short");
    text.clear().unwrap();
    assert!(other.is_empty());
    whole(text.check().unwrap());
}

#[test]
fn no_character_is_cut() {
    let memory = Memory::new(1 << 18);
    let text = memory.make::<Text<'_>>(1 << 18);
    text.set("a€b").unwrap();
    let cut = SeqError::NotBoundary { at: 2 };
    assert_eq!((text.truncate(2), text.insert_str(2, "x")), (Err(cut), Err(cut)));
    assert_eq!(text.replace_range(..=1, ""), Err(cut));
    assert_eq!(
        text.replace_range(9.., "").unwrap_err(),
        SeqError::NoSuchRange { start: 9, end: 5, len: 5 }
    );
    assert_eq!(text.get().as_deref(), Ok("a€b"));
}

#[test]
fn bytes_that_are_no_text_are_an_error() {
    let memory = Memory::new(1 << 18);
    memory.make::<Text<'_>>(1 << 18).set("abc").unwrap();
    // A peer that takes it for bytes.
    memory.open::<ShmBytes<&ModelJudge>>(2).unwrap().set(1, 0xff).unwrap();
    let text = memory.open::<Text<'_>>(1).unwrap();
    assert_eq!(text.get(), Err(SeqError::NotUtf8 { valid: 1 }));
    text.set("new").unwrap();
    assert_eq!(text.get().as_deref(), Ok("new"));
}
