//! Shows that the models can fail.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use shmkit_sync::crash::{self, Fault};

/// Names a fault for a child process.
const VARIABLE: &str = "SHMKIT_SEEDED_FAULT";
/// How long a model may look for its fault.
const LIMIT: Duration = Duration::from_secs(100);

static SEEDED: LazyLock<String> = LazyLock::new(|| std::env::var(VARIABLE).unwrap_or_default());

/// Seeds the fault that this process was started with into the machines.
pub(crate) fn seed() {
    crash::seed(match SEEDED.as_str() {
        "wake-apart" => Fault::WakeApart,
        "wake-first" => Fault::WakeFirst,
        "waiters-lost" => Fault::WaitersLost,
        "ring-unseen" => Fault::RingUnseen,
        "clear-unseen" => Fault::ClearUnseen,
        "set-skipped" => Fault::SetSkipped,
        "pulse-unseen" => Fault::PulseUnseen,
        "names-left" => Fault::NamesLeft,
        "raise-unmarks" => Fault::RaiseUnmarks,
        "arrive-unchecked" => Fault::ArriveUnchecked,
        "grant-void" => Fault::GrantVoid,
        "deaths-ignored" => Fault::DeathsIgnored,
        _ => Fault::None,
    });
}

/// Returns whether this process was started with the fault, one in the use of a machine.
pub(crate) fn is(fault: &str) -> bool {
    *SEEDED == fault
}

/// Runs a model with a fault, as a process of its own: loom aborts at a deadlock.
#[track_caller]
fn fails(model: &str, fault: &str, complaint: &str) {
    let mut output: File = tempfile::tempfile().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([model, "--exact", "--nocapture"])
        .env(VARIABLE, fault)
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output.try_clone().unwrap())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{model} has not found {fault} within {LIMIT:?}");
        }
        sleep(Duration::from_millis(5));
    };
    let mut text = String::new();
    output.rewind().unwrap();
    output.read_to_string(&mut text).unwrap();
    assert!(!status.success(), "{model} does not find {fault}");
    assert!(
        text.contains(complaint),
        "{model} with {fault} ends with {status}, but not for a {complaint}:\n{text}"
    );
}

#[test]
fn a_release_apart_from_its_wake_is_found() {
    fails("mutex::two_survivors_get_the_lock_whenever_the_third_dies", "wake-apart", "deadlock");
}

#[test]
fn a_wake_before_its_release_is_found() {
    fails("mutex::a_survivor_gets_the_lock_whenever_the_other_dies", "wake-first", "deadlock");
}

#[test]
fn a_lost_mark_of_waiters_is_found() {
    fails("mutex::two_survivors_get_the_lock_whenever_the_third_dies", "waiters-lost", "deadlock");
}

#[test]
fn two_owners_are_found() {
    fails("mutex::a_judge_is_believed", "slander", "panicked");
}

#[test]
fn a_ring_before_its_commit_is_found() {
    fails("doorbell::no_ring_for_some_is_lost", "ring-first", "deadlock");
}

#[test]
fn a_sleep_without_a_last_look_is_found() {
    fails("doorbell::no_ring_for_some_is_lost", "look-before-arming", "deadlock");
}

#[test]
fn a_ring_that_does_not_move_the_bell_is_found() {
    fails("doorbell::no_ring_for_some_is_lost", "ring-unseen", "deadlock");
}

#[test]
fn a_mark_taken_away_without_moving_the_bell_is_found() {
    fails("doorbell::no_ring_after_one_for_nothing_is_lost", "clear-unseen", "deadlock");
}

#[test]
fn a_semaphore_with_a_wrong_lock_is_found() {
    fails("semaphore::a_survivor_gets_in_whenever_the_other_dies", "wake-first", "deadlock");
}

#[test]
fn a_set_that_is_left_out_is_found() {
    fails("event::nothing_done_before_a_set_is_overlooked", "set-skipped", "deadlock");
}

#[test]
fn a_pulse_that_moves_nothing_is_found() {
    fails("event::nobody_who_waits_misses_a_pulse", "pulse-unseen", "deadlock");
}

#[test]
fn a_notification_that_dies_with_who_got_it_is_found() {
    fails("condvar::a_survivor_is_notified_whenever_another_waiter_dies", "grant-void", "deadlock");
}

#[test]
fn a_notification_that_dies_with_its_heir_is_found() {
    let model = "condvar::a_survivor_is_notified_whenever_the_heir_of_a_notification_dies";
    fails(model, "grant-void", "deadlock");
}

#[test]
fn a_notifiers_death_that_nobody_cares_about_is_found() {
    let model = "condvar::two_waiters_go_on_whenever_their_notifier_dies";
    fails(model, "deaths-ignored", "deadlock");
}

#[test]
fn a_notification_before_its_reason_is_found() {
    fails("condvar::no_notification_is_lost", "notify-first", "deadlock");
}

#[test]
fn a_released_lock_that_names_its_owner_is_found() {
    fails("reentrant::who_has_released_holds_nothing", "names-left", "panicked");
}

#[test]
fn a_lost_mark_of_a_locks_waiters_is_found() {
    fails("lock::two_survivors_get_the_lock_whenever_the_third_dies", "waiters-lost", "deadlock");
}

#[test]
fn a_release_that_forgets_the_others_is_found() {
    fails("counting::no_release_is_lost", "raise-unmarks", "deadlock");
}

#[test]
fn a_wake_before_it_is_done_is_found() {
    fails("once::two_survivors_see_the_same_whenever_the_third_dies", "wake-first", "deadlock");
}

#[test]
fn an_arrival_in_the_past_is_found() {
    fails("barrier::one_too_many_waits_for_a_place", "arrive-unchecked", "panicked");
}
