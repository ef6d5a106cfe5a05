//! The kept inputs of the fuzz targets, without a fuzzer.

#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/attach.rs"]
mod attach;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/bridge.rs"]
mod bridge;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/broadcast.rs"]
mod broadcast;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/collections.rs"]
mod collections;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/connection.rs"]
mod connection;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/directory.rs"]
mod directory;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/frames.rs"]
mod frames;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/handshake.rs"]
mod handshake;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/heap.rs"]
mod heap;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/input.rs"]
mod input;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/list.rs"]
mod list;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/manager.rs"]
mod manager;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/messages.rs"]
mod messages;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/ops/mod.rs"]
mod ops;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/ordered.rs"]
mod ordered;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/parcel.rs"]
mod parcel;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/queue.rs"]
mod queue;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/ring.rs"]
mod ring;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/schema.rs"]
mod schema;
#[expect(unreachable_pub, reason = "it is public to the fuzzer")]
#[path = "../../fuzz/src/set.rs"]
mod set;

/// Runs every kept input of `target`, each within a limit.
fn replay(target: &str, run: fn(&[u8])) {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus");
    let mut inputs = 0;
    for file in std::fs::read_dir(format!("{corpus}/{target}")).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let (end, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            run(&bytes);
            end.send(()).unwrap();
        });
        let ended = ended.recv_timeout(std::time::Duration::from_secs(20));
        assert!(ended.is_ok(), "{}: {ended:?}", path.display());
        inputs += 1;
    }
    assert!(inputs >= 20, "only {inputs} inputs in {corpus}/{target}");
}

#[test]
fn any_bytes_are_a_segment_or_an_error() {
    replay("attach", attach::run);
}

#[test]
fn any_bytes_are_a_parcel_or_an_error() {
    replay("parcel", parcel::run);
}

#[test]
fn any_bytes_are_a_python_list_or_an_error() {
    replay("list", list::run);
}

#[test]
fn any_bytes_on_a_connection_are_messages_or_an_error() {
    replay("connection", connection::run);
}

#[test]
fn any_message_of_another_machine_is_what_it_says_or_refused() {
    replay("bridge", bridge::run);
}

#[test]
fn any_frames_at_a_manager_are_answered_or_refused() {
    replay("manager", manager::run);
}

#[test]
fn any_bytes_at_a_handshake_let_nobody_in() {
    replay("handshake", handshake::run);
}

#[test]
fn any_positions_are_a_ring_or_an_error() {
    replay("ring", ring::run);
}

#[test]
fn messages_come_as_they_were_sent_and_any_words_are_messages_or_an_error() {
    replay("frames", frames::run);
}

#[test]
fn a_queue_is_a_line_in_any_order_and_any_words_are_a_queue_or_an_error() {
    replay("queue", queue::run);
}

#[test]
fn a_broadcast_is_one_to_each_subscriber_and_any_words_are_one_or_an_error() {
    replay("broadcast", broadcast::run);
}

#[test]
fn a_queue_of_messages_is_a_line_and_any_words_are_one_or_an_error() {
    replay("messages", messages::run);
}

#[test]
fn a_queue_by_priority_and_a_stack_are_in_order_and_any_words_are_one_or_an_error() {
    replay("ordered", ordered::run);
}

#[test]
fn any_bytes_are_two_definitions_of_types_or_an_error() {
    replay("schema", schema::run);
}

#[test]
fn operations_in_any_order_are_answered_as_foretold() {
    replay("ops", ops::run);
}

#[test]
fn objects_come_and_go_as_foretold_and_any_words_are_a_directory_or_an_error() {
    replay("directory", directory::run);
}

#[test]
fn no_block_of_a_heap_is_lost_or_given_twice_in_any_order_and_any_bytes_are_a_heap_or_an_error() {
    replay("heap", heap::run);
}

#[test]
fn collections_answer_as_the_standard_ones_do_and_any_bytes_are_one_or_an_error() {
    replay("collections", collections::run);
}

#[test]
fn what_a_transaction_changes_is_changed_as_a_whole_and_any_bytes_are_a_set_or_an_error() {
    replay("set", set::run);
}
