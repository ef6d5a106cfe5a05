//! Lists that Python's `ShareableList` has, too.

use shmkit::{ListError, ListItem, ShareableList};
use shmkit_segment::{RawOptions, RawSegment};

use crate::support::python::Python;
use crate::support::unique;

/// Items as Python writes them down, and as they are here.
fn items() -> (&'static str, Vec<ListItem>) {
    let text =
        "['howdy', b'HoWdY', -273.154, 100, None, True, 42, '', 'é', 2**63 - 1, float('inf')]";
    let items = vec![
        ListItem::from("howdy"),
        b"HoWdY".into(),
        (-273.154).into(),
        100.into(),
        ListItem::None,
        true.into(),
        42.into(),
        "".into(),
        "é".into(),
        i64::MAX.into(),
        f64::INFINITY.into(),
    ];
    (text, items)
}

/// A list in memory of its own, under a name for Python.
struct Ours(RawSegment);

impl Ours {
    fn new(items: &[ListItem]) -> Self {
        let bytes = ShareableList::bytes(items).unwrap();
        let this = Self(RawOptions::new().remove_on_drop(true).create_unique(bytes).unwrap());
        // SAFETY: only lists use the bytes, and Python.
        ShareableList::make(unsafe { this.0.region() }, items).unwrap();
        this
    }

    fn open(name: &str) -> Self {
        Self(RawSegment::open(name).unwrap())
    }

    fn list(&self) -> ShareableList<'_> {
        // SAFETY: as above.
        ShareableList::attach(unsafe { self.0.region() }).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.0.len() as usize];
        self.0.read(0, &mut bytes).unwrap();
        bytes
    }
}

#[test]
fn sls_11_and_15_a_list_is_the_same_bytes_on_both_sides() {
    let Some(mut python) = Python::start() else { return };
    let (text, items) = items();
    let name = unique("list");
    python.run(&format!("theirs = ShareableList({text}, name={name:?})"));
    let theirs = Ours::open(&name);
    assert_eq!(theirs.list().to_vec().unwrap(), items);
    let ours = Ours::new(&items);
    assert_eq!(ours.bytes(), theirs.bytes());
    python.expect("theirs.format", &format!("'{}'", ours.list().format().unwrap()));

    // Each sees what the other one changes.
    theirs.list().set(0, "hello").unwrap();
    theirs.list().set(4, 7).unwrap();
    theirs.list().set(-1, ()).unwrap();
    python.expect("theirs[0], theirs[4], theirs[-1], theirs[5]", "('hello', 7, None, True)");
    python.run("theirs[1] = 'bytes no'; theirs[2] = None; theirs[5] = b'12345678'");
    let found = theirs.list().to_vec().unwrap();
    assert_eq!(found[..3], ["hello".into(), "bytes no".into(), ListItem::None]);
    assert_eq!(found[5], b"12345678".into());
    python.run("theirs.shm.unlink()");
    python.end();
}

#[test]
fn sls_11_python_reads_and_changes_a_list_that_is_made_here() {
    let Some(mut python) = Python::start() else { return };
    let (text, items) = items();
    let ours = Ours::new(&items);
    python.run(&format!("theirs = attach_list({:?})", ours.0.name()));
    python.expect(&format!("list(theirs) == {text}, len(theirs)"), "(True, 11)");
    python.run("theirs[3] = 2.5; theirs[7] = 'eight by'; theirs[6] = False");
    assert_eq!(ours.list().get(3).unwrap(), 2.5.into());
    assert_eq!(ours.list().get(7).unwrap(), "eight by".into());
    assert_eq!(ours.list().get(6).unwrap(), false.into());
    // SLS-07, SLS-09: refused on both sides, and whole.
    let refused = python.ask("theirs.__setitem__(7, 'far too many')");
    assert!(refused.contains("exceeds available storage"), "{refused}");
    let error = ListError::TooLong { index: 7, bytes: 12, room: 8 };
    assert_eq!(ours.list().set(7, "far too many"), Err(error));
    python.expect("theirs[7]", "'eight by'");
    python.end();
}

#[test]
fn sls_18_python_reads_texts_of_ours_that_it_would_cut_off() {
    let Some(mut python) = Python::start() else { return };
    let ours = Ours::new(&["ééééééé".into(), 5.into()]);
    python.run(&format!("theirs = attach_list({:?})", ours.0.name()));
    python.expect("theirs[0], theirs[1]", "('ééééééé', 5)");
    // Its own: four characters are left, or none can be read.
    let name = unique("cut-off");
    python.run(&format!("own = ShareableList(['ééééééé', 'é234567', 5], name={name:?})"));
    python.expect("own[0]", "'éééé'");
    let opened = Ours::open(&name);
    assert_eq!(opened.list().get(0).unwrap(), "éééé".into());
    assert_eq!(opened.list().get(2).unwrap(), 5.into());
    python.run("own.shm.unlink()");
    python.end();
}

#[test]
fn an_item_that_was_begun_here_is_none_to_python() {
    let Some(mut python) = Python::start() else { return };
    let ours = Ours::new(&["text".into()]);
    python.run(&format!("theirs = attach_list({:?})", ours.0.name()));
    // The code of None beside another format, as a killed writer leaves them.
    ours.0.write(ours.0.len() - 1, &[3]).unwrap();
    python.expect("theirs[0]", "None");
    assert_eq!(ours.list().get(0), Err(ListError::Unfinished { index: 0 }));
    python.run("theirs[0] = 'anew'");
    assert_eq!(ours.list().get(0).unwrap(), "anew".into());
    python.end();
}

#[test]
fn sls_13_a_name_is_all_that_is_sent_of_a_list_however_long_it_is() {
    let Some(mut python) = Python::start() else { return };
    let mut sizes = Vec::new();
    for len in [10, 400] {
        let ours = Ours::new(&(0..len).map(ListItem::from).collect::<Vec<_>>());
        sizes.push(ours.0.name().len());
        python.run(&format!("theirs = attach_list({:?})", ours.0.name()));
        // Both ways through the name that was sent.
        Ours::open(ours.0.name()).list().set(0, 77).unwrap();
        python.expect("theirs[0]", "77");
        python.run("theirs[1] = 78");
        assert_eq!(ours.list().get(1).unwrap(), 78.into());
    }
    assert_eq!(sizes[0], sizes[1]);
    python.end();
}
