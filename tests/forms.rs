//! Every operation that waits, and the four forms in which it stands: `x`, `try_x`, `x_timeout`, `x_deadline`.
//!
//! The table names each as a call, so that it does not compile without one of them, and each last form with a [`Patience`].
//! The tests below look for what is in the sources and not in the table.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use shmkit::connection::{Address, Client, Connection, Listener, RecvHalf, SendHalf};
use shmkit::duplex::{Duplex, Options};
use shmkit::{
    Array, Barrier, Condvar, CountingSemaphore, Event, FrameReceiver, FrameSender, LifoQueue, Lock,
    MessageQueue, Mutex, MutexGuard, Once, OnceCell, Party, Patience, Publisher, Queue, RLock,
    Receiver, ReentrantMutex, RwLock, Semaphore, Sender, ShmDeque, ShmString, ShmVec, Snapshot,
    Subscriber, Transactional, TransactionalSet, Value,
};
use shmkit_sync::FutexLock;

/// A handle by its name, and its operations: plain, at once, for a time, by a deadline.
type Row = (&'static str, [&'static str; 4]);

/// What the deadline of a form is that takes any patience.
const ENDLESS: Patience<'_> = Patience::ENDLESS;

/// Something of any type, in calls that are compiled and never made.
fn any<T>() -> T {
    unreachable!("these calls are not made")
}

/// Rows of the table: the arguments stand before the time, and in a second list those behind it. Where nothing can come of
/// not waiting at all there is `none`, or another name.
macro_rules! table {
    ($($Name:ident: $Handle:ty, $patience:expr => {
        $($x:ident, $now:ident, $timeout:ident, $deadline:ident ($($arg:expr),*) $(($($last:expr),*))? $(as $T:ty)?;)*
    })*) => {&[$($({
        let _ = |handle: &mut $Handle| {
            let _ = handle.$x$(::<$T>)?($($arg,)* $($($last),*)?);
            table!(@now $now handle ($($arg,)* $($($last),*)?) $($T)?);
            let _ = handle.$timeout$(::<$T>)?($($arg,)* Duration::ZERO $($(, $last)*)?);
            let _ = handle.$deadline$(::<$T>)?($($arg,)* $patience $($(, $last)*)?);
        };
        (stringify!($Name), [stringify!($x), stringify!($now), stringify!($timeout), stringify!($deadline)])
    }),*),*]};
    (@now none $handle:ident $args:tt) => {};
    // What looks without waiting has no arguments.
    (@now is_set $handle:ident $args:tt) => { let _ = $handle.is_set(); };
    (@now is_completed $handle:ident $args:tt) => { let _ = $handle.is_completed(); };
    (@now version $handle:ident $args:tt) => { let _ = $handle.version(); };
    (@now get $handle:ident $args:tt) => { let _ = $handle.get(); };
    (@now $now:ident $handle:ident ($($args:tt)*) $($T:ty)?) => { let _ = $handle.$now$(::<$T>)?($($args)*); };
}

fn guard() -> MutexGuard<'static, u64> {
    any()
}

#[rustfmt::skip]
fn forms() -> Vec<Row> {
    let table: &[Row] = table! {
        Mutex: Mutex<u64>, ENDLESS => {
            lock, try_lock, lock_timeout, lock_deadline();
            lock_owned, try_lock_owned, lock_owned_timeout, lock_owned_deadline();
        }
        ReentrantMutex: ReentrantMutex<u64>, ENDLESS => {
            lock, try_lock, lock_timeout, lock_deadline();
            lock_owned, try_lock_owned, lock_owned_timeout, lock_owned_deadline();
        }
        Lock: Lock, ENDLESS => {
            acquire, try_acquire, acquire_timeout, acquire_deadline();
            lock, try_lock, lock_timeout, lock_deadline();
        }
        RLock: RLock, ENDLESS => {
            acquire, try_acquire, acquire_timeout, acquire_deadline();
            lock, try_lock, lock_timeout, lock_deadline();
        }
        // It knows no participants, whose death could be asked about.
        FutexLock: FutexLock, Instant::now() => {
            lock, try_lock, lock_timeout, lock_deadline();
        }
        RwLock: RwLock<u64>, ENDLESS => {
            read, try_read, read_timeout, read_deadline();
            read_recursive, try_read_recursive, read_recursive_timeout, read_recursive_deadline();
            write, try_write, write_timeout, write_deadline();
            read_owned, try_read_owned, read_owned_timeout, read_owned_deadline();
            write_owned, try_write_owned, write_owned_timeout, write_owned_deadline();
        }
        Semaphore: Semaphore, ENDLESS => {
            acquire, try_acquire, acquire_timeout, acquire_deadline();
            acquire_many, try_acquire_many, acquire_many_timeout, acquire_many_deadline(1);
            acquire_owned, try_acquire_owned, acquire_owned_timeout, acquire_owned_deadline(1);
        }
        CountingSemaphore: CountingSemaphore, ENDLESS => {
            acquire, try_acquire, acquire_timeout, acquire_deadline();
        }
        Event: Event, ENDLESS => {
            wait, is_set, wait_timeout, wait_deadline();
        }
        Barrier: Barrier, ENDLESS => {
            wait, none, wait_timeout, wait_deadline();
            wait_with, none, wait_with_timeout, wait_with_deadline()(|| Ok::<(), ()>(()));
        }
        Party: Party, ENDLESS => {
            wait, none, wait_timeout, wait_deadline();
            wait_with, none, wait_with_timeout, wait_with_deadline()(|| Ok::<(), ()>(()));
        }
        Condvar: Condvar, ENDLESS => {
            wait, none, wait_timeout, wait_deadline(guard());
            wait_while, none, wait_while_timeout, wait_while_deadline(guard(), |_| true);
        }
        Once: Once, ENDLESS => {
            call_once, try_call_once, call_once_timeout, call_once_deadline()(|| ());
            wait, is_completed, wait_timeout, wait_deadline();
        }
        OnceCell: OnceCell<u64>, ENDLESS => {
            get_or_init, try_get_or_init, get_or_init_timeout, get_or_init_deadline()(any);
            wait, get, wait_timeout, wait_deadline();
        }
        Value: Value<u64>, ENDLESS => {
            get, try_get, get_timeout, get_deadline();
            set, try_set, set_timeout, set_deadline(1);
            update, try_update, update_timeout, update_deadline(|_| ());
            compare_exchange, try_compare_exchange, compare_exchange_timeout, compare_exchange_deadline(1, 2);
            lock, try_lock, lock_timeout, lock_deadline();
            lock_owned, try_lock_owned, lock_owned_timeout, lock_owned_deadline();
        }
        Snapshot: Snapshot<u64>, ENDLESS => {
            wait_changed, version, wait_changed_timeout, wait_changed_deadline(0);
            writer, try_writer, writer_timeout, writer_deadline();
        }
        Transactional: Transactional<u64>, ENDLESS => {
            transaction, try_transaction, transaction_timeout, transaction_deadline(|_| Ok(()));
            read, try_read, read_timeout, read_deadline(|_| ());
        }
        TransactionalSet: TransactionalSet, ENDLESS => {
            transaction, try_transaction, transaction_timeout, transaction_deadline(|_| Ok(()));
            read, try_read, read_timeout, read_deadline(|_| Ok(()));
        }
        Array: Array<u64>, ENDLESS => {
            get, try_get, get_timeout, get_deadline(0);
            set, try_set, set_timeout, set_deadline(0, 1);
            update, try_update, update_timeout, update_deadline(0, |_| ());
            compare_exchange, try_compare_exchange, compare_exchange_timeout, compare_exchange_deadline(0, 1, 2);
            to_vec, try_to_vec, to_vec_timeout, to_vec_deadline();
            read_range, try_read_range, read_range_timeout, read_range_deadline(..);
            read_into, try_read_into, read_into_timeout, read_into_deadline(.., any());
            read_step, try_read_step, read_step_timeout, read_step_deadline(.., 2);
            write_range, try_write_range, write_range_timeout, write_range_deadline(.., &[1]);
            write_step, try_write_step, write_step_timeout, write_step_deadline(.., 2, &[1]);
            lock_range, try_lock_range, lock_range_timeout, lock_range_deadline(..);
            fill, try_fill, fill_timeout, fill_deadline(1);
            update_all, try_update_all, update_all_timeout, update_all_deadline(|_| ());
            lock, try_lock, lock_timeout, lock_deadline();
            lock_owned, try_lock_owned, lock_owned_timeout, lock_owned_deadline();
        }
        ShmVec: ShmVec<u64>, ENDLESS => {
            lock, try_lock, lock_timeout, lock_deadline();
        }
        ShmDeque: ShmDeque<u64>, ENDLESS => {
            lock, try_lock, lock_timeout, lock_deadline();
        }
        ShmString: ShmString, ENDLESS => {
            lock, try_lock, lock_timeout, lock_deadline();
        }
        Sender: Sender<u64>, ENDLESS => {
            send, try_send, send_timeout, send_deadline(1);
            send_from, try_send_from, send_from_timeout, send_from_deadline(&1);
            send_all, try_send_batch, send_all_timeout, send_all_deadline(&[1]);
            reserve, try_reserve, reserve_timeout, reserve_deadline(1);
            reserve_up_to, try_reserve_up_to, reserve_up_to_timeout, reserve_up_to_deadline(1);
            wait_for_peer, try_wait_for_peer, wait_for_peer_timeout, wait_for_peer_deadline();
        }
        Receiver: Receiver<u64>, ENDLESS => {
            recv, try_recv, recv_timeout, recv_deadline();
            recv_into, try_recv_into, recv_into_timeout, recv_into_deadline(any());
            recv_batch, try_recv_batch, recv_batch_timeout, recv_batch_deadline(any());
            peek, try_peek, peek_timeout, peek_deadline();
            accept, try_accept, accept_timeout, accept_deadline();
            wait_for_peer, try_wait_for_peer, wait_for_peer_timeout, wait_for_peer_deadline();
        }
        FrameSender: FrameSender, ENDLESS => {
            send, try_send, send_timeout, send_deadline(&[1]);
            send_vectored, try_send_vectored, send_vectored_timeout, send_vectored_deadline(&[]);
            reserve, try_reserve, reserve_timeout, reserve_deadline(1);
            send_value, try_send_value, send_value_timeout, send_value_deadline(&1);
            wait_for_peer, try_wait_for_peer, wait_for_peer_timeout, wait_for_peer_deadline();
        }
        FrameReceiver: FrameReceiver, ENDLESS => {
            recv, try_recv, recv_timeout, recv_deadline();
            recv_into, try_recv_into, recv_into_timeout, recv_into_deadline(any());
            peek, try_peek, peek_timeout, peek_deadline();
            discard, try_discard, discard_timeout, discard_deadline();
            recv_value, try_recv_value, recv_value_timeout, recv_value_deadline() as u64;
            accept, try_accept, accept_timeout, accept_deadline();
            wait_for_peer, try_wait_for_peer, wait_for_peer_timeout, wait_for_peer_deadline();
        }
        Queue: Queue<u64>, ENDLESS => {
            put, try_put, put_timeout, put_deadline(1);
            put_all, try_put_batch, put_all_timeout, put_all_deadline(&[1]);
            get, try_get, get_timeout, get_deadline();
            get_batch, try_get_batch, get_batch_timeout, get_batch_deadline(any());
            take, try_take, take_timeout, take_deadline();
            join, try_join, join_timeout, join_deadline();
        }
        Connection: Connection, ENDLESS => {
            recv_bytes, try_recv_bytes, recv_bytes_timeout, recv_bytes_deadline();
            recv_bytes_into, try_recv_bytes_into, recv_bytes_into_timeout, recv_bytes_into_deadline(any());
            recv_message, try_recv_message, recv_message_timeout, recv_message_deadline();
            recv_descriptor, try_recv_descriptor, recv_descriptor_timeout, recv_descriptor_deadline();
            recv_value, try_recv_value, recv_value_timeout, recv_value_deadline() as u64;
            poll, try_poll, poll_timeout, poll_deadline();
            send_bytes, try_send_bytes, send_bytes_timeout, send_bytes_deadline(&[1]);
            send_value, try_send_value, send_value_timeout, send_value_deadline(&1);
            send_message, try_send_message, send_message_timeout, send_message_deadline(&[1], &[]);
            send_descriptor, try_send_descriptor, send_descriptor_timeout, send_descriptor_deadline(any());
            flush, try_flush, flush_timeout, flush_deadline();
        }
        Listener: Listener, ENDLESS => {
            accept, try_accept, accept_timeout, accept_deadline();
        }
        Duplex: Duplex, ENDLESS => {
            send_bytes, try_send_bytes, send_bytes_timeout, send_bytes_deadline(&[1]);
            recv_bytes, try_recv_bytes, recv_bytes_timeout, recv_bytes_deadline();
            recv_bytes_into, try_recv_bytes_into, recv_bytes_into_timeout, recv_bytes_into_deadline(any());
        }
        Options: Options, ENDLESS => {
            connect, none, connect_timeout, connect_deadline("name");
        }
        Client: Client, ENDLESS => {
            connect, none, connect_timeout, connect_deadline(any::<Address>());
        }
        RecvHalf: RecvHalf, ENDLESS => {
            recv_bytes, try_recv_bytes, recv_bytes_timeout, recv_bytes_deadline();
            recv_bytes_into, try_recv_bytes_into, recv_bytes_into_timeout, recv_bytes_into_deadline(any());
            recv_message, try_recv_message, recv_message_timeout, recv_message_deadline();
            recv_descriptor, try_recv_descriptor, recv_descriptor_timeout, recv_descriptor_deadline();
            recv_value, try_recv_value, recv_value_timeout, recv_value_deadline() as u64;
            poll, try_poll, poll_timeout, poll_deadline();
        }
        SendHalf: SendHalf, ENDLESS => {
            send_bytes, try_send_bytes, send_bytes_timeout, send_bytes_deadline(&[1]);
            send_value, try_send_value, send_value_timeout, send_value_deadline(&1);
            send_message, try_send_message, send_message_timeout, send_message_deadline(&[1], &[]);
            send_descriptor, try_send_descriptor, send_descriptor_timeout, send_descriptor_deadline(any());
            flush, try_flush, flush_timeout, flush_deadline();
        }
        MessageQueue: MessageQueue, ENDLESS => {
            put, try_put, put_timeout, put_deadline(&[1]);
            get, try_get, get_timeout, get_deadline();
            get_into, try_get_into, get_into_timeout, get_into_deadline(any());
            put_value, try_put_value, put_value_timeout, put_value_deadline(&1);
            get_value, try_get_value, get_value_timeout, get_value_deadline() as u64;
            take, try_take, take_timeout, take_deadline();
            join, try_join, join_timeout, join_deadline();
        }
        OrderedQueue: LifoQueue<u64>, ENDLESS => {
            put, try_put, put_timeout, put_deadline(1);
            put_all, try_put_batch, put_all_timeout, put_all_deadline(&[1]);
            get, try_get, get_timeout, get_deadline();
            get_batch, try_get_batch, get_batch_timeout, get_batch_deadline(any());
        }
        Publisher: Publisher<u64>, ENDLESS => {
            send, try_send, send_timeout, send_deadline(1);
            send_all, try_send_batch, send_all_timeout, send_all_deadline(&[1]);
            reserve, try_reserve, reserve_timeout, reserve_deadline();
        }
        Subscriber: Subscriber<u64>, ENDLESS => {
            recv, try_recv, recv_timeout, recv_deadline();
            recv_batch, try_recv_batch, recv_batch_timeout, recv_batch_deadline(any());
            peek, try_peek, peek_timeout, peek_deadline();
            wait_for_publisher, try_wait_for_publisher, wait_for_publisher_timeout, wait_for_publisher_deadline();
        }
    };
    table.to_vec()
}

/// What waits for ever, and leaves patience to another operation.
const OTHERS: &[(&str, &str, &str)] = &[
    ("Once", "call_once_force", "call_once"),
    ("OnceCell", "get_or_try_init", "get_or_init"),
    ("OnceCell", "get_or_init_with", "get_or_init"),
];

/// An operation that the sources have.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    handle: String,
    name: String,
}

/// What the sources of the handles' crates have: the public forms that give up, and what waits for ever.
#[derive(Default)]
struct Sources {
    timed: BTreeSet<Found>,
    endless: BTreeSet<Found>,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn first_word(text: &str) -> &str {
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}

/// Returns whose operations an `impl` is of, if it is nobody's trait.
fn implements(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("impl")?;
    if line.contains(" for ") {
        return Some("");
    }
    let mut depth = 0;
    let end = rest.find(|c| {
        depth += i32::from(c == '<') - i32::from(c == '>');
        depth == 0 && c != '>'
    })?;
    Some(first_word(rest[end..].trim_start()))
}

fn sources() -> Sources {
    let mut found = Sources::default();
    for name in ["sync", "cell", "collections", "connection", "duplex", "pipe", "queue"] {
        let mut folders =
            vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates").join(name).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.scan(&path);
                }
            }
        }
    }
    assert!(found.timed.len() > 100, "the sources were not understood: {:?}", found.timed);
    found
}

impl Sources {
    fn scan(&mut self, path: &PathBuf) {
        let text = fs::read_to_string(path).unwrap();
        let (mut handle, mut operation) = ("", "");
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            if line.contains("mod tests") {
                return;
            }
            if let Some(name) = implements(line) {
                handle = name;
            }
            if let Some((before, name)) = line.split_once("fn ") {
                let public = before.trim_start().starts_with("pub ");
                operation = if public { first_word(name) } else { "" };
            }
            // A macro defines some.
            let defined = line.split_once(" = ").map_or("", |(names, _)| names);
            let timed = |name: &&str| name.ends_with("_timeout") || name.ends_with("_deadline");
            let names = defined.split(", ").map(str::trim).chain([operation]);
            for name in names.filter(timed).filter(|name| *name != "is_timeout") {
                insert(&mut self.timed, handle, name);
            }
            let endless = line.contains("Deadline::NEVER") || line.contains("Patience::ENDLESS");
            if endless && !operation.is_empty() {
                insert(&mut self.endless, handle, operation);
            }
        }
    }
}

/// What all ends of pipes have stands once for them, as what a connection and its halves have.
fn insert(set: &mut BTreeSet<Found>, handle: &str, name: &str) {
    let handles = match handle {
        "$End" => vec!["Sender", "Receiver", "FrameSender", "FrameReceiver"],
        "$Receiving" => vec!["Connection", "RecvHalf"],
        "$Sending" => vec!["Connection", "SendHalf"],
        _ => vec![handle],
    };
    for handle in handles.into_iter().filter(|handle| !handle.is_empty()) {
        set.insert(Found { handle: handle.to_owned(), name: name.to_owned() });
    }
}

fn in_table(forms: &[Row], found: &Found, columns: &[usize]) -> bool {
    forms.iter().any(|(handle, names)| {
        *handle == found.handle && columns.iter().any(|&column| names[column] == found.name)
    })
}

#[test]
fn no_form_that_gives_up_is_missing_in_the_table() {
    let (forms, sources) = (forms(), sources());
    let missing: Vec<_> =
        sources.timed.iter().filter(|found| !in_table(&forms, found, &[2, 3])).collect();
    assert!(missing.is_empty(), "not in the table of forms: {missing:#?}");
}

#[test]
fn what_waits_for_ever_has_forms_that_give_up() {
    let (forms, sources) = (forms(), sources());
    let others = |found: &Found| {
        OTHERS.iter().any(|(handle, name, _)| *handle == found.handle && *name == found.name)
    };
    let missing: Vec<_> = sources
        .endless
        .iter()
        .filter(|found| forms.iter().any(|(handle, _)| *handle == found.handle))
        .filter(|found| !in_table(&forms, found, &[0]) && !others(found))
        .collect();
    assert!(missing.is_empty(), "waits for ever and has no other forms: {missing:#?}");
    for (handle, name, instead) in OTHERS {
        let other = Found { handle: (*handle).to_owned(), name: (*name).to_owned() };
        assert!(sources.endless.contains(&other), "{other:?} does not wait for ever any more");
        let instead = Found { handle: (*handle).to_owned(), name: (*instead).to_owned() };
        assert!(in_table(&forms, &instead, &[0]), "{instead:?} has no forms");
    }
}

#[test]
fn forms_are_called_after_what_they_are_forms_of() {
    for (handle, [x, _, timeout, deadline]) in forms() {
        assert_eq!(timeout, format!("{x}_timeout"), "of {handle}");
        assert_eq!(deadline, format!("{x}_deadline"), "of {handle}");
    }
}
