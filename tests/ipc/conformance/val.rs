//! `Value` and `Array` beside a lock that is given, and their type codes. The other rows stand in `cell`.

use shmkit::{
    Acquired, Array, ArrayError, Atomic, AtomicArray, GivenLock, Lock, LockError, LockFailure,
    ObjectErrorKind, Objects, Options, RLock, Segment, ShmSafe, Synchronized, TypeCode, Value,
};
use shmkit_tests::cell::{self, ROUNDS};

use crate::support::{By, Peer};

fn segment() -> Segment {
    Options::new(1 << 16).anonymous().unwrap()
}

/// Plays a scene with a freshly executed peer and with a forked one, each in a segment of its own.
fn both(scene: impl Fn(&Segment, &dyn Fn(&str) -> Peer)) {
    for by in By::ALL {
        let segment = segment();
        scene(&segment, &|script| by.peer(&format!("cell/{script}"), &[], &segment));
    }
}

/// VAL-03: by default the lock is a recursive one, so that `with v.get_lock(): v.value += 1` is one step.
#[test]
fn val_03_a_recursive_lock_makes_two_operations_one() {
    both(|segment, peer| {
        let (value, rlock) = cell::synchronized(segment).unwrap();
        let v = Synchronized::new(value, rlock);
        let mut peers = [(); 2].map(|()| peer("count-by-rlock"));
        peers.iter_mut().for_each(|peer| peer.expect("ready"));
        {
            let _held = v.get_lock().lock().unwrap();
            peers.iter_mut().for_each(|peer| peer.say("go"));
            v.set(v.get().unwrap() + 1).unwrap();
            assert_eq!((v.get_lock().depth(), v.get()), (1, Ok(1)), "the others wait");
        }
        peers.iter_mut().for_each(|peer| peer.expect("done"));
        peers.into_iter().for_each(Peer::join);
        assert_eq!(v.get(), Ok(2 * ROUNDS + 1));
        assert_eq!(v.get_obj().get(), v.get(), "the raw cell");
    });
}

/// VAL-03, beyond CPython: who is killed between the two leaves a whole value, and whoever asks the lock is told.
#[test]
fn val_03_a_killed_holder_leaves_lock_and_value() {
    both(|segment, peer| {
        let (value, rlock) = cell::synchronized(segment).unwrap();
        let v = Synchronized::new(value, rlock);
        let mut peer = peer("hold-rlock");
        peer.expect("half-way");
        assert_eq!(v.get_lock().try_acquire(), Err(LockFailure::WouldBlock));
        peer.kill();
        let held = v.get_lock().lock().unwrap();
        assert!(matches!(held.acquired(), Acquired::OwnerDied(_)), "{held:?}");
        assert_eq!(v.get(), Ok(7));
    });
}

#[test]
fn val_04_the_given_lock_is_the_lock() {
    let segment = segment();
    let mine = segment.rlock("mine").unwrap();
    let (one, two) = (segment.value("one", 1).unwrap(), segment.value("two", 2).unwrap());
    let (one, two) = (Synchronized::new(one, &mine), Synchronized::new(two, &mine));
    assert!(std::ptr::eq(*one.get_lock(), &raw const mine), "it is my lock");
    let _held = two.get_lock().lock().unwrap();
    assert_eq!((mine.depth(), one.get(), two.get()), (1, Ok(1), Ok(2)), "one lock for both");
    std::thread::scope(|scope| {
        let other = scope.spawn(|| (mine.try_acquire(), one.get_obj().try_get()));
        assert_eq!(other.join().unwrap(), (Err(LockFailure::WouldBlock), Ok(1)));
    });
    // A lock that is not recursive is taken by each operation, too.
    let plain = segment.lock("plain").unwrap();
    let three = Synchronized::new(segment.value("three", 3).unwrap(), &plain);
    three.update(|n| *n += i32::from(plain.locked())).unwrap();
    assert_eq!((three.get(), plain.locked()), (Ok(4), false));
}

#[test]
fn val_05_a_raw_cell_has_no_lock() {
    // It has neither `get_lock` nor `get_obj`, and there is nothing in its bytes but the number.
    let segment = segment();
    let raw: Atomic<i32> = segment.atomic("raw", 5).unwrap();
    assert_eq!((raw.load(), size_of_val(raw.cell())), (5, 4));
    assert_eq!(segment.objects().unwrap()[0].shape.bytes, 4);
}

/// VAL-06: what is no lock is refused when the program is built; `Synchronized` shows the program that is not. What only
/// *says* that it is a lock is found out when it is opened.
#[test]
fn val_06_what_is_no_lock_is_refused() {
    fn is_a_lock<L: GivenLock>() {}
    is_a_lock::<RLock>();
    is_a_lock::<Lock>();
    is_a_lock::<&RLock>();
    let segment = segment();
    segment.event("no lock").unwrap();
    let error = segment.rlock("no lock").unwrap_err();
    assert_eq!(error.kind(), ObjectErrorKind::WrongShape);
    assert!(error.to_string().contains("event"), "{error}");
}

#[test]
fn val_10_an_unknown_type_code_is_refused() {
    for code in ['x', 's', 'C', '\0', 'é'] {
        assert_eq!(TypeCode::try_from(code).unwrap_err().code, code);
    }
    let error = TypeCode::try_from('x').unwrap_err();
    assert_eq!(error.to_string(), "'x' is no type code; these are: cubBhHiIlLqQfd");
}

#[test]
fn val_12_a_type_code_is_a_type_of_c() {
    use std::ffi::{
        c_char, c_double, c_float, c_int, c_long, c_longlong, c_schar, c_short, c_uchar, c_uint,
        c_ulong, c_ulonglong, c_ushort,
    };
    let sizes = [
        ('c', "char", size_of::<c_char>()),
        ('u', "wchar_t", size_of::<libc::wchar_t>()),
        ('b', "signed char", size_of::<c_schar>()),
        ('B', "unsigned char", size_of::<c_uchar>()),
        ('h', "short", size_of::<c_short>()),
        ('H', "unsigned short", size_of::<c_ushort>()),
        ('i', "int", size_of::<c_int>()),
        ('I', "unsigned int", size_of::<c_uint>()),
        ('l', "long", size_of::<c_long>()),
        ('L', "unsigned long", size_of::<c_ulong>()),
        ('q', "long long", size_of::<c_longlong>()),
        ('Q', "unsigned long long", size_of::<c_ulonglong>()),
        ('f', "float", size_of::<c_float>()),
        ('d', "double", size_of::<c_double>()),
    ];
    for (code, c_type, size) in sizes {
        let found = TypeCode::try_from(code).unwrap();
        assert_eq!((found.to_string().as_str(), found.size()), (c_type, size), "{code}");
    }
    // What is made as the type of a code is found by its tag, and its bytes are those of the machine.
    let segment = segment();
    segment.value::<i32>("i", 0x0102_0304).unwrap();
    let shape = segment.objects().unwrap()[0].shape;
    assert_eq!(shape.tag, TypeCode::try_from('i').unwrap().tag());
    assert_ne!(TypeCode::try_from('I').unwrap().tag(), shape.tag);
    let first = segment.find::<Value<i32>>("i").unwrap().get().unwrap().to_ne_bytes();
    assert_eq!(first, 0x0102_0304_i32.to_ne_bytes());
}

/// ARR-06: as VAL-03 to VAL-06.
#[test]
fn arr_06_an_array_has_its_own_lock_a_given_one_or_none() {
    let segment = segment();
    let row = segment.array("row", [1, 2, 3]).unwrap();
    // Its own: one lock under all operations.
    let held = row.lock().unwrap();
    assert!(matches!(row.try_lock(), Err(LockError::Failed(LockFailure::WouldBlock))));
    drop(held);
    // A given one, recursive.
    let mine = segment.rlock("mine").unwrap();
    let given = Synchronized::new(row.clone(), &mine);
    {
        let _held = given.get_lock().lock().unwrap();
        given.set(1, given.get(0).unwrap() + given.get(2).unwrap()).unwrap();
    }
    assert_eq!(given.get_obj().to_vec(), Ok(vec![1, 4, 3]));
    assert!(matches!(given.get(3), Err(ArrayError::OutOfRange(_))));
    // None.
    let raw: AtomicArray<i32> = segment.atomic_array("raw", [1, 2, 3]).unwrap();
    assert_eq!(size_of_val(raw.cells()), 3 * size_of::<i32>());
    // Something that is no lock: `val_06_what_is_no_lock_is_refused`.
}

/// ARR-10, ARR-11 and ARR-13: a byte array as a string of C.
#[test]
fn arr_10_arr_11_arr_13_bytes_are_a_string_up_to_the_first_nul() {
    let segment = segment();
    let text: Array<u8> = segment.array("text", 4).unwrap();
    text.set_text(b"ab").unwrap();
    let seen = (text.text().unwrap(), text.to_vec().unwrap(), text.len());
    assert_eq!(seen, (b"ab".to_vec(), b"ab\0\0".to_vec(), 4), "arr-10");

    text.set_text(b"abcd").unwrap();
    assert_eq!(text.text().unwrap(), b"abcd", "arr-11: without a terminator");
    let too_long = ArrayError::Count { given: 5, expected: 4 };
    assert_eq!(text.set_text(b"abcde"), Err(too_long), "arr-11");
    text.set_text(b"x").unwrap();
    assert_eq!(text.to_vec().unwrap(), b"x\0cd", "what lies behind the terminator stays");

    text.set_raw(b"yz").unwrap();
    assert_eq!(text.to_vec().unwrap(), b"yzcd", "arr-13");
    assert_eq!(text.set_raw(b"abcde"), Err(too_long), "arr-13");
    assert_eq!(text.text().unwrap(), b"yzcd");
    assert_eq!(u8::TAG, TypeCode::try_from('c').unwrap().tag());
}

/// VAL-01 of types that Python does not have: a flag, and numbers as wide as an address.
#[test]
fn a_flag_and_a_number_as_wide_as_an_address_are_cells() {
    both(|segment, peer| {
        let flag = segment.atomic("flag", false).unwrap();
        let size = segment.atomic("size", 1_usize).unwrap();
        peer("flag").join();
        assert_eq!((flag.load(), size.load()), (true, usize::MAX));
        assert_eq!(flag.compare_exchange(false, true), Err(true));
        assert_eq!(flag.compare_exchange(true, false), Ok(true));
        assert_eq!((flag.swap(true), flag.to_string()), (false, "true".into()));
        let error = segment.atomic("size", 1_u64).unwrap_err();
        assert_eq!(error.kind(), ObjectErrorKind::WrongShape, "not the number of that width");
    });
}
