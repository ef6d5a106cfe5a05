//! `shmkit bench`: that each figure is there, and nothing is left.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::end;

#[test]
fn each_figure_has_a_median_and_a_spread_and_a_row_in_the_picture() {
    let directory = tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap();
    let place = tempfile::tempdir().unwrap();
    let picture = place.path().join("it.svg");
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shmkit"));
        command.args(["bench", "--rounds", "2"]).args(args).stdin(Stdio::null());
        command.arg("--directory").arg(directory.path());
        end(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    };
    let ended = run(&["--json", "--svg", picture.to_str().unwrap()]);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    let report = ended.json();
    let figures = report["figures"].as_array().unwrap();
    assert_eq!(figures.len(), 7);
    for figure in figures.iter().map(|figure| &figure["nanos"]).chain([&report["line"]]) {
        let [lower, median, upper] =
            ["lower", "median", "upper"].map(|part| figure[part].as_f64().unwrap());
        assert!(0.0 < lower && lower <= median && median <= upper, "{report:#}");
    }
    let picture = fs::read_to_string(&picture).unwrap();
    assert_eq!(picture.matches("<circle").count(), figures.len());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left");

    let text = run(&[]).stdout;
    assert!(text.contains("message through a pipe, and back"), "{text}");
    let nowhere = run(&["--svg", "/no/such/folder/it.svg"]);
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.stderr.contains("cannot draw /no/such/folder"), "{}", nowhere.stderr);
}
