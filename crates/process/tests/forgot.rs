//! A program that starts tasks of its own and lacks the line by which it would know that it was started to run one: each child
//! runs `main` again, and would start as many again, and so on for ever (PRC-22).

use std::io::Write;
use std::time::{Duration, Instant};

use shmkit_process::{Builder, SpawnErrorKind, TaskError, task};

#[task(crate = shmkit_process)]
fn nothing() {}

/// Where each process that has run `main` leaves a line.
const LOG: &str = "SHMKIT_TEST_LOG";
/// Children wait for long before they end.
const SILENT: &str = "SHMKIT_TEST_SILENT";

fn main() {
    if let Some(log) = std::env::var_os(LOG) {
        let kind = Builder::new().spawn(nothing, ()).map(drop).map_err(|error| error.kind());
        let mut log = std::fs::File::options().append(true).open(log).unwrap();
        writeln!(log, "{kind:?}").unwrap();
        if std::env::var_os(SILENT).is_some() {
            std::thread::sleep(Duration::from_secs(60));
        }
        return;
    }
    let log = tempfile::NamedTempFile::new().unwrap();
    let start = |silent: bool| {
        let builder = Builder::new().env(LOG, log.path()).hello_within(Duration::from_secs(1));
        let builder = if silent { builder.env(SILENT, "1") } else { builder };
        builder.spawn(nothing, ()).unwrap()
    };
    let began = Instant::now();
    let children: Vec<_> = [false, false, false, true].map(start).into();
    for (n, child) in children.into_iter().enumerate() {
        let error = child.join().unwrap_err();
        let TaskError::NotStarted(started) = &error else { panic!("{error:?}") };
        match started.kind() {
            SpawnErrorKind::ExitedBeforeHello(status) if n < 3 => assert!(status.is_success()),
            SpawnErrorKind::NeverSaidHello if n == 3 => {}
            _ => panic!("{error}"),
        }
        assert!(error.to_string().contains("shmkit::early!();"), "{error}");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "whom nobody hears of is ended");
    let lines = std::fs::read_to_string(log.path()).unwrap();
    // Four processes, and not one more.
    let expected = format!("{:?}\n", Err::<(), _>(SpawnErrorKind::NotInitialised)).repeat(4);
    assert_eq!(lines, expected);
}
