//! A list as one process sees it; with Python at the other end in the workspace's `tests/ipc`.

use core::ptr::NonNull;

use super::*;

/// Zeroed bytes for a list.
struct Memory(Vec<u64>, usize);

impl Memory {
    fn new(bytes: usize) -> Self {
        Self(vec![0; bytes.div_ceil(8)], bytes)
    }

    fn of(items: &[ListItem]) -> Self {
        Self::new(ShareableList::bytes(items).unwrap() as usize)
    }

    fn region(&mut self) -> Region<'_> {
        // SAFETY: the bytes are borrowed for as long as the region.
        unsafe { Region::from_raw_parts(NonNull::from(self.0.as_mut_slice()).cast(), self.1) }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; self.1];
        self.region().read_bytes(0, &mut bytes).unwrap();
        bytes
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SLS-01: one of each.
fn seven() -> Vec<ListItem> {
    vec![
        ListItem::from("howdy"),
        b"HoWdY".into(),
        (-273.154).into(),
        100.into(),
        ListItem::None,
        true.into(),
        42.into(),
    ]
}

/// What CPython writes: items, formats, bytes.
fn golden() -> Vec<(Vec<ListItem>, &'static str, &'static str)> {
    vec![
        (vec![], "", "00000000000000000000000000000000"),
        (
            vec![ListItem::from("")],
            "8s",
            "0100000000000000000000000000000008000000000000000000000000000000387300000000000001",
        ),
        (
            vec![ListItem::from("12345678")],
            "16s",
            "01000000000000000000000000000000100000000000000031323334353637380000000000000000313673000000000001",
        ),
        (
            vec![ListItem::from(b"1234567")],
            "8s",
            "0100000000000000000000000000000008000000000000003132333435363700387300000000000002",
        ),
        (
            vec![ListItem::from(false), ListItem::None, 0.into(), 0.0.into()],
            "xxxxxxx?xxxxxx?xqd",
            "0400000000000000000000000000000008000000000000001000000000000000180000000000000020000000000000000000\
             000000000000000000000000000000000000000000000000000000000000787878787878783f7878787878783f7871000000\
             00000000640000000000000000030000",
        ),
        (
            vec![
                ListItem::from("howdy"),
                b"HoWdY".into(),
                (-273.154).into(),
                100.into(),
                ListItem::None,
                true.into(),
                42.into(),
            ],
            "8s8sdqxxxxxx?xxxxxxxx?q",
            "0700000000000000000000000000000008000000000000001000000000000000180000000000000020000000000000002800\
             00000000000030000000000000003800000000000000686f776479000000486f5764590000005839b4c8761271c064000000\
             00000000000000000000000000000000000000012a0000000000000038730000000000003873000000000000640000000000\
             000071000000000000007878787878783f78787878787878783f710000000000000001020000030000",
        ),
        (
            vec![ListItem::from(-1), i64::MAX.into(), i64::MIN.into()],
            "qqq",
            "03000000000000000000000000000000080000000000000010000000000000001800000000000000ffffffffffffffffffff\
             ffffffffff7f0000000000000080710000000000000071000000000000007100000000000000000000",
        ),
        (
            vec![ListItem::from(f64::INFINITY)],
            "d",
            "010000000000000000000000000000000800000000000000000000000000f07f640000000000000000",
        ),
        (
            vec![ListItem::from("é")],
            "8s",
            "010000000000000000000000000000000800000000000000c3a9000000000000387300000000000001",
        ),
        (
            (0..20).map(ListItem::from).collect(),
            "qqqqqqqqqqqqqqqqqqqq",
            "1400000000000000000000000000000008000000000000001000000000000000180000000000000020000000000000002800\
             0000000000003000000000000000380000000000000040000000000000004800000000000000500000000000000058000000\
             0000000060000000000000006800000000000000700000000000000078000000000000008000000000000000880000000000\
             000090000000000000009800000000000000a000000000000000000000000000000001000000000000000200000000000000\
             0300000000000000040000000000000005000000000000000600000000000000070000000000000008000000000000000900\
             0000000000000a000000000000000b000000000000000c000000000000000d000000000000000e000000000000000f000000\
             0000000010000000000000001100000000000000120000000000000013000000000000007100000000000000710000000000\
             0000710000000000000071000000000000007100000000000000710000000000000071000000000000007100000000000000\
             7100000000000000710000000000000071000000000000007100000000000000710000000000000071000000000000007100\
             0000000000007100000000000000710000000000000071000000000000007100000000000000710000000000000000000000\
             00000000000000000000000000000000",
        ),
    ]
}

#[test]
fn sls_04_15_and_16_a_list_has_the_bytes_that_cpython_writes() {
    for (items, format, bytes) in golden() {
        let mut memory = Memory::of(&items);
        let list = ShareableList::make(memory.region(), &items).unwrap();
        assert_eq!((list.format().unwrap().as_str(), list.to_vec().unwrap()), (format, items));
        assert_eq!(hexadecimal(&memory.bytes()), bytes);
    }
}

#[test]
fn sls_01_02_03_11_and_20_items_come_back_and_others_are_out_of_range() {
    let mut memory = Memory::of(&seven());
    let list = ShareableList::make(memory.region(), &seven()).unwrap();
    let list = ShareableList::attach(list.region).unwrap();
    assert_eq!(list.to_vec().unwrap(), seven());
    assert_eq!(list.iter().next_back().unwrap().unwrap(), 42.into());
    assert_eq!(list.get(-2).unwrap(), true.into());
    assert_eq!(list.get(-7).unwrap(), "howdy".into());
    for index in [7, -8, i64::MAX, i64::MIN] {
        let error = ListError::OutOfRange { index, len: 7 };
        assert_eq!((list.get(index), list.set(index, 1)), (Err(error), Err(error)));
    }
    assert_eq!((list.index(42).unwrap(), list.index("none").unwrap()), (Some(6), None));
    assert_eq!((list.count(true).unwrap(), list.len()), (1, 7));
}

#[test]
fn sls_06_to_09_a_value_fits_into_its_slot_or_is_refused() {
    let mut memory = Memory::of(&seven());
    let list = ShareableList::make(memory.region(), &seven()).unwrap();
    list.set(4, "some").unwrap();
    assert_eq!(list.get(4).unwrap(), "some".into());
    assert_eq!(list.format().unwrap(), "8s8sdq8sxxxxxxx?q");
    let error = ListError::TooLong { index: 4, bytes: 12, room: 8 };
    assert_eq!(list.set(4, "far too many"), Err(error));
    assert_eq!(list.get(4).unwrap(), "some".into());
    list.set(0, "encodés").unwrap();
    assert_eq!(list.get(0).unwrap(), "encodés".into());
    for (index, item) in [(0, ListItem::from("encodés!")), (1, b"123456789".into())] {
        let error = list.set(index, item).unwrap_err();
        assert!(matches!(error, ListError::TooLong { bytes: 9, room: 8, .. }), "{error}");
    }
    assert_eq!(list.get(1).unwrap(), b"HoWdY".into());
    list.set(5, None::<i64>).unwrap();
    list.set(3, 2.5).unwrap();
    list.set(2, &b"12345678"[..]).unwrap();
    assert_eq!(list.format().unwrap(), "8s8s8sd8sxxxxxx?xq");
    let items = ["encodés".into(), b"HoWdY".into(), b"12345678".into(), 2.5.into()];
    assert_eq!(list.to_vec().unwrap()[..4], items);
    assert_eq!(list.to_vec().unwrap()[4..], ["some".into(), ListItem::None, 42.into()]);
}

#[test]
fn sls_10_a_copy_is_of_its_own() {
    let (mut memory, mut other) = (Memory::of(&seven()), Memory::of(&seven()));
    let list = ShareableList::make(memory.region(), &seven()).unwrap();
    let copy = ShareableList::make(other.region(), &list.to_vec().unwrap()).unwrap();
    assert_eq!((copy.format(), copy.to_vec()), (list.format(), list.to_vec()));
    copy.set(3, 101).unwrap();
    assert_eq!((list.get(3).unwrap(), copy.get(3).unwrap()), (100.into(), 101.into()));
}

#[test]
fn sls_12_an_empty_list_takes_16_bytes() {
    let mut memory = Memory::new(16);
    assert_eq!(ShareableList::bytes(&[]), Ok(16));
    let list = ShareableList::make(memory.region(), &[]).unwrap();
    assert!(list.is_empty() && list.format().unwrap().is_empty());
    assert_eq!((list.count(1).unwrap(), list.index(1).unwrap()), (0, None));
    assert_eq!(list.get(0), Err(ListError::OutOfRange { index: 0, len: 0 }));
}

#[test]
fn sls_18_a_slot_is_as_long_as_the_bytes_of_its_text() {
    for text in ["ééééééé", "🦀🦀🦀", "é234567"] {
        let items = [ListItem::from(text), 7.into()];
        let mut memory = Memory::of(&items);
        let list = ShareableList::make(memory.region(), &items).unwrap();
        assert_eq!(list.to_vec().unwrap(), items);
    }
    // What CPython leaves of such a text, cut off in a character.
    let mut memory = Memory::of(&["1234567".into()]);
    let list = ShareableList::make(memory.region(), &["1234567".into()]).unwrap();
    list.region.write_bytes(24 + 7, &[0xc3]).unwrap();
    assert_eq!(list.get(0), Err(ListError::NotText { index: 0 }));
}

#[test]
fn sls_19_an_integer_has_64_bits() {
    assert_eq!(ListItem::try_from(1_i128 << 63), Err(IntTooWide(1 << 63)));
    assert_eq!(ListItem::try_from(u64::MAX).unwrap_err().0, u64::MAX.into());
    assert_eq!(ListItem::try_from(-1_i128 << 63), Ok(i64::MIN.into()));
}

#[test]
fn sls_21_a_slot_keeps_its_length() {
    let twenty = "x".repeat(20);
    let mut memory = Memory::of(&[twenty.as_str().into()]);
    let list = ShareableList::make(memory.region(), &[twenty.as_str().into()]).unwrap();
    list.set(0, 5).unwrap();
    assert_eq!(list.format().unwrap(), "q");
    list.set(0, twenty.as_str()).unwrap();
    assert_eq!((list.format().unwrap().as_str(), list.get(0).unwrap()), ("24s", twenty.into()));
}

#[test]
fn what_would_be_read_otherwise_is_refused() {
    let items = [ListItem::from("a\0")];
    assert_eq!(ShareableList::bytes(&items), Err(ListError::TrailingNul { index: 0 }));
    let mut memory = Memory::of(&["a".into()]);
    let list = ShareableList::make(memory.region(), &["a".into()]).unwrap();
    assert_eq!(list.set(0, b"\0"), Err(ListError::TrailingNul { index: 0 }));
    list.set(0, "\0b").unwrap();
    assert_eq!(list.get(0).unwrap(), "\0b".into());
    let error = ShareableList::bytes(&[vec![1; 10_000_000].into()]).unwrap_err();
    assert!(matches!(error, ListError::TooLong { index: 0, .. }), "{error}");
}

#[test]
fn an_item_that_was_begun_says_so() {
    let texts = ["a".repeat(20), "b".repeat(20)];
    let items = [ListItem::from(texts[0].as_str()), 5.into(), ListItem::None];
    let mut memory = Memory::of(&items);
    let list = ShareableList::make(memory.region(), &items).unwrap();
    for index in 0..2 {
        list.code(index).unwrap().store(3, Relaxed);
        assert_eq!(list.get(index as i64), Err(ListError::Unfinished { index }));
    }
    list.format_word(2).unwrap().store(Format::Int.word(), Relaxed);
    assert_eq!(list.get(2), Err(ListError::Unfinished { index: 2 }));
    list.set(0, texts[1].as_str()).unwrap();
    list.set(1, 6).unwrap();
    list.set(2, ()).unwrap();
    let items = [ListItem::from(texts[1].as_str()), 6.into(), ListItem::None];
    assert_eq!(list.to_vec().unwrap(), items);
}

#[test]
fn a_region_must_be_long_enough_and_aligned() {
    let mut memory = Memory::new(64);
    let error = ListError::TooShort { found: 48, needed: 49 };
    let region = memory.region();
    let short = region.sub(0, 48).unwrap();
    assert_eq!(ShareableList::make(short, &["12345678".into()]).err(), Some(error));
    let odd = region.sub(4, 60).unwrap();
    assert_eq!(ShareableList::make(odd, &[]).err(), Some(ListError::Misaligned));
    assert_eq!(ShareableList::attach(odd).err(), Some(ListError::Misaligned));
    for len in [0, 8, 15] {
        let error = ListError::TooShort { found: len, needed: 16 };
        assert_eq!(ShareableList::attach(region.sub(0, len).unwrap()).err(), Some(error));
    }
    // More than it takes, and what was there before.
    region.write_bytes(0, &[0xff; 64]).unwrap();
    assert!(ShareableList::attach(region).is_err());
    ShareableList::make(region, &["1".into()]).unwrap();
    assert_eq!(ShareableList::attach(region).unwrap().to_vec().unwrap(), ["1".into()]);
}

#[test]
fn an_item_that_would_end_among_the_formats_is_refused() {
    let items = seven();
    let mut memory = Memory::of(&items);
    let region = memory.region();
    let list = ShareableList::make(region, &items).unwrap();
    let end = |index: u64| super::word(region, (index + 1) * super::WORD).unwrap();
    let found = end(7).load(Relaxed) + super::WORD;
    end(3).store(found, Relaxed);
    let error = ListError::Corrupt { field: "offset", index: 2, found };
    assert_eq!((list.get(2), list.set(2, 1)), (Err(error), Err(error)));
}

#[test]
fn a_list_in_which_one_bit_is_wrong_is_read_or_refused() {
    let items = seven();
    let mut memory = Memory::of(&items);
    ShareableList::make(memory.region(), &items).unwrap();
    let good = memory.bytes();
    for bit in 0..8 * good.len() {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let region = memory.region();
        region.write_bytes(0, &bytes).unwrap();
        let Ok(list) = ShareableList::attach(region) else { continue };
        assert!(list.len() <= 7);
        let _ = (list.format(), format!("{list:?}"));
        for index in -7..7 {
            let _ = list.set(index, "text");
            let _ = list.get(index);
        }
    }
}
