//! Every example runs, prints what it should, and leaves nothing behind.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long an example may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs an example and returns what it printed.
#[track_caller]
fn run(name: &str) -> String {
    let path = built(name);
    let mut child = Command::new(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{}: {error}; `cargo test -p shmkit` builds it", path.display())
        });
    let pid = child.id();
    let deadline = Instant::now() + LIMIT;
    // The examples print a few lines, which fit in a pipe.
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("{name} still runs after {LIMIT:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{printed}{complained}", output.status);
    let left: Vec<_> = std::fs::read_dir("/dev/shm")
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|file| file.contains("example") && file.ends_with(&format!("-{pid}")))
        .collect();
    assert!(left.is_empty(), "{name} left {left:?}");
    printed
}

/// Where cargo has put an example: beside the folder of this test.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile =
        test.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps/<test>");
    profile.join("examples").join(name)
}

#[test]
fn nine_processes_add_fifty_each() {
    assert_eq!(run("nine"), "450\n");
}

#[test]
fn a_program_of_another_definition_is_told_which_field_differs() {
    let printed = run("derive");
    let expected = "`Reading.at`: u32 at byte 0 here, u64 at byte 0 there";
    assert!(printed.contains(expected) && printed.ends_with("quality: Good\n"), "{printed}");
}

#[test]
fn plates_are_served_though_a_waiter_was_killed() {
    let printed = run("kitchen");
    assert_eq!(printed, "5 plates served by the other waiter; at the end 1 was told to go home\n");
}

#[test]
fn a_cook_sends_bills_that_are_longer_than_the_pipe() {
    assert_eq!(
        run("orders"),
        "bills of [600, 1200, 80000] bytes; then: the other end of the pipe is closed\n"
    );
}

#[cfg(feature = "tokio")]
#[test]
fn a_task_gets_messages_and_bytes_and_does_something_else_meanwhile() {
    assert_eq!(run("tokio_stream"), "1000 messages, 1000 bytes; ticks in between: true\n");
}

#[test]
fn letters_of_any_length_are_read_a_killed_readers_too() {
    assert_eq!(run("letters"), "words 7950100, redelivered 1\n");
}

#[test]
fn the_ends_of_a_pipe_are_taken_over_and_handed_over() {
    let killed = "a consumer is killed over job 30: what it had not released is still there\n";
    let handed = "the producer has handed its end over to another process\n";
    let done = "100 jobs were worked on, of them twice: [30]\n";
    assert_eq!(run("takeover"), format!("{killed}{handed}{done}"));
}

#[test]
fn every_job_is_done_though_a_consumer_was_killed_with_one() {
    assert_eq!(run("jobs"), "total 2502501, redelivered 1\n");
}

#[test]
fn a_cache_is_whole_after_a_worker_was_killed() {
    let killed = "1 of 4 workers was killed\nanswers were found: true\n";
    let whole = "entries were evicted: true\nwrong entries: 0\nlost blocks: 0\n";
    assert_eq!(run("cache"), format!("{killed}{whole}"));
}

#[test]
fn collections_are_whole_after_a_worker_was_killed() {
    let counted =
        "lines are whole: true\n`the` was counted: true\nno page was counted twice: true\n";
    let lost = "pages left: 0\npages lost with the killed worker: at most 1\n";
    assert_eq!(run("words"), format!("{lost}{counted}words: a and cat dog mat on sat the\n"));
}

#[test]
fn a_migration_is_done_again_after_a_death() {
    let printed = run("migration");
    assert_eq!(
        printed,
        "somebody was killed half-way: again, from the beginning\n100 of 100 rows migrated, once\n"
    );
}

#[test]
fn a_printer_goes_on_after_a_clerk_was_killed() {
    let printed = run("printer");
    let page = "a page was left unfinished: a new sheet\na page with 3 boxes\n";
    let paper = "refilled by somebody else: true\n";
    assert_eq!(printed, format!("the printer is busy: true\n{page}{paper}"));
}

#[test]
fn a_child_negates_an_array() {
    let printed = run("negate");
    assert!(printed.contains("3.1415927\n"), "{printed}");
    assert!(printed.contains("before: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n"), "{printed}");
    assert!(printed.contains("after:  [0, -1, -2, -3, -4, -5, -6, -7, -8, -9]\n"), "{printed}");
}

#[test]
fn ten_processes_print_a_line_each() {
    let printed = run("lines");
    let mut lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.pop(), Some("10 lines"));
    lines.sort_unstable();
    assert_eq!(lines, (0..10).map(|n| format!("hello world {n}")).collect::<Vec<_>>());
}

#[test]
fn five_producers_count_a_million_together() {
    assert_eq!(run("producers"), "1000000\n");
}

#[cfg(feature = "connection")]
#[test]
fn a_parent_and_its_child_talk() {
    assert_eq!(run("talk"), "hello: HELLO\nhow are you: HOW ARE YOU\n2 answers\n");
}

#[test]
fn a_counter_survives_a_killed_owner() {
    let printed = run("counter");
    assert!(printed.contains("killed\n"), "{printed}");
    let line = "Counter { total: 4000, by: [1000, 1000, 1000, 1000], repairs: 1 }\n";
    assert!(printed.ends_with(line), "{printed}");
}

#[test]
fn a_pipe_ends_with_its_sender() {
    let printed = run("pipe");
    assert!(
        printed.starts_with("100000 squares, their sum is 333328333350000; then: "),
        "{printed}"
    );
}

#[test]
fn a_pool_answers_every_task_but_that_of_a_killed_worker() {
    let printed = run("pool");
    let (died, answered): (Vec<&str>, Vec<&str>) =
        printed.lines().partition(|line| line.contains("was ended by SIGABRT"));
    assert_eq!((died.len(), answered.len()), (1, 26), "{printed}");
    assert!(died[0].starts_with("13: ") && answered.contains(&"27: 111"), "{printed}");
}

#[test]
fn a_server_goes_on_after_a_worker_was_killed_in_a_request() {
    let printed = run("prefork");
    let lines = [
        "100 requests answered by 3 workers",
        "1 was killed and replaced; the board was repaired 1 time(s)",
    ];
    assert_eq!(printed.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn readers_see_whole_prices_whoever_is_killed() {
    let printed = run("prices");
    assert!(printed.contains("a writer was, in the middle: repaired\n"), "{printed}");
    assert!(printed.ends_with("3 readers saw whole prices only\n"), "{printed}");
}

#[test]
fn workers_in_step_notice_a_killed_one() {
    let printed = run("phases");
    assert_eq!(
        printed,
        "a worker was killed at step 70, and the others were told\n200 steps; the heat is still 100.000\n"
    );
}

#[test]
fn frames_of_8_mib_go_to_workers_and_back_by_number() {
    assert_eq!(
        run("frames"),
        "a worker was killed: what it had is loaded by the other one\n\
         10 pictures of 8 MiB through 4 frames, each seen once\n"
    );
}

#[test]
fn a_server_answers_one_client_after_the_other() {
    let printed = run("server");
    let lines = [
        "hasty: 1 answer, and it was gone",
        "patient: 3 answers, and it closed",
        "shy: never came",
        "patient: 3 answers, and it closed",
    ];
    assert_eq!(printed.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn a_spare_station_goes_on_where_the_killed_one_stopped() {
    assert_eq!(
        run("weather"),
        "the station was killed after measurement 9\n\
         the spare one went on to 200, and readers saw whole measurements\n"
    );
}

#[test]
fn the_sum_of_a_bank_stays_though_a_clerk_was_killed_in_a_transfer() {
    assert_eq!(
        run("bank"),
        "a clerk was killed, who had taken 50 and not given them\n\
         3000 transfers were made, and the sum is 1600\n"
    );
}

#[cfg(feature = "call")]
#[test]
fn tasks_are_called_by_name_and_a_killed_worker_costs_one_call() {
    let listed =
        "takeaway::cook: fn(&str, u32) -> Result<String, Failure>\ntakeaway::burn: fn() -> ()\n";
    let failed = "Failed: nobody here can cook stew\nNotAnswered, and the kitchen goes on\n";
    assert_eq!(run("takeaway"), format!("{listed}3 plates of soup\n{failed}1 plates of rice\n"));
}

#[test]
fn a_pool_maps_and_calls_back() {
    let expected = "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]\n[32, 9, 1000]\n[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]\n\
                    the callback was called with Ok(400)\n400\nit has not answered in time, and is killed\n\
                    the task was called off\n";
    assert_eq!(run("squares"), expected);
}

#[test]
fn calls_in_calls_are_refused_or_come_to_an_end() {
    let printed = run("nested");
    let lines: Vec<_> = printed.lines().collect();
    assert!(lines[0].contains("a worker of the pool was not started"), "{printed}");
    assert!(lines[0].contains("this process is a daemon"), "{printed}");
    assert!(lines[2].contains("is there a task that starts itself?"), "{printed}");
    assert_eq!((lines[1], lines[3], lines.len()), ("10", "8 deep", 4), "{printed}");
}

#[test]
fn a_page_that_hangs_costs_no_other() {
    assert_eq!(
        run("fetch"),
        "/100: 100 bytes\n/2000: 2000 bytes\n/hangs: did not come, and its worker was killed\n\
         /30000: 30000 bytes\n/7: 7 bytes\n"
    );
}

#[test]
fn burgers_beside_salads() {
    assert_eq!(run("salads"), "12 burgers, 40 salads, 40 bowls washed\n");
}

#[test]
fn a_decoder_that_crashes_is_an_error_of_one_request() {
    assert_eq!(
        run("decode"),
        "200: 6\n502: the decoder was ended by SIGABRT\n422: there is nothing in it\n200: 42\n"
    );
}

#[test]
fn a_bar_shows_how_far_a_pool_has_come() {
    assert_eq!(run("progress"), "200 tasks, whose answers add up to 19900\n");
}

#[test]
fn a_sale_is_in_till_shelf_and_orders_or_in_none_though_a_seller_was_killed() {
    assert_eq!(
        run("shop"),
        "a seller was killed, who had taken one from the shelf, and no money\n\
         300 orders, 2100 in the till, 200 left on the shelf\n"
    );
}
