//! `shmkit inspect`: what is seen of a segment by who does not take part in it.

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};
use shmkit::{Objects, Options};
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap()
}

fn shmkit(args: &[&str], directory: &TempDir) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shmkit"));
    command.arg("inspect").args(args).arg("--directory").arg(directory.path()).output().unwrap()
}

#[track_caller]
fn parsed(args: &[&str], directory: &TempDir) -> Value {
    let output = shmkit(args, directory);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn each_object_says_how_it_is_and_who_has_it() {
    let directory = directory();
    let options = Options::new(1 << 22).directory(directory.path()).content("kitchen/1");
    let segment = options.create("kitchen").unwrap();
    let me = json!(std::process::id());
    let pan = segment.mutex("pan", 0_u64).unwrap();
    let table = segment.rwlock("table", [0.0_f64; 4]).unwrap();
    let doors = segment.semaphore("doors", 3).unwrap();
    let bell = segment.event("bell").unwrap();
    let orders = segment.queue::<u32>("orders", 8).unwrap();
    let pipe = segment.pipe::<u64>("pipe", 16).unwrap();
    let prices = segment.map::<str, i64>("prices", 1 << 20).unwrap();
    segment.value("count", -7_i64).unwrap();
    segment.array("steps", [1.5_f64, 2.5, 3.5]).unwrap();
    let _held = pan.lock().unwrap();
    let _writing = table.write().unwrap();
    let _permit = doors.acquire().unwrap();
    bell.set().unwrap();
    orders.put(1).unwrap();
    orders.put(2).unwrap();
    let mut sender = pipe.sender().unwrap();
    sender.send(5).unwrap();
    prices.insert("soup", &4).unwrap();

    let seen = parsed(&["kitchen", "--json"], &directory);
    assert_eq!((&seen["content"], &seen["participants"][0]["pid"]), (&json!("kitchen/1"), &me));
    assert_eq!(seen["participants"][0]["alive"], true);
    assert!(seen["resident"].as_u64().unwrap() > 0 && seen["participants"][0]["since"].is_u64());
    let object = |name: &str| {
        let objects = seen["objects"].as_array().unwrap();
        objects.iter().find(|object| object["name"] == name).unwrap_or_else(|| panic!("{seen}"))
    };
    let (pan, table) = (object("pan"), object("table"));
    assert_eq!((&pan["state"]["held"], &pan["state"]["data"]), (&json!(true), &json!("clean")));
    assert_eq!(pan["named"][0]["pid"], me);
    assert_eq!((&table["state"]["held"], &table["named"][0]["pid"]), (&json!(true), &me));
    let doors = &object("doors")["state"];
    assert_eq!((&doors["free permits"], &doors["of"]), (&json!(2), &json!(3)));
    assert_eq!(object("doors")["named"][0]["pid"], me);
    assert_eq!(object("bell")["state"]["set"], true);
    let orders = &object("orders")["state"];
    assert_eq!((&orders["in line about"], &orders["of"]), (&json!(2), &json!(8)));
    let pipe = object("pipe");
    assert_eq!((&pipe["state"]["items"], &pipe["named"][0]["pid"]), (&json!(1), &me));
    assert_eq!(object("prices")["state"]["entries"], 1);
    assert!(pan["content"].is_null(), "of one object alone");

    let one = parsed(&["kitchen/count", "--json"], &directory);
    assert_eq!(one["content"]["values"], json!([-7]));
    let one = parsed(&["kitchen/steps", "--json", "--most", "2"], &directory);
    assert_eq!(one["content"]["values"], json!([1.5, 2.5]));
    let text = String::from_utf8(shmkit(&["kitchen"], &directory).stdout).unwrap();
    assert!(text.contains("free permits 2, of 3") && text.contains("held, data clean"), "{text}");
    let text = String::from_utf8(shmkit(&["kitchen/steps"], &directory).stdout).unwrap();
    assert!(text.ends_with("1.5 2.5 3.5\n"), "{text}");
    let text = String::from_utf8(shmkit(&["kitchen/pan"], &directory).stdout).unwrap();
    assert!(text.contains("\n00000000  "), "{text}");
}

#[test]
fn what_cannot_be_looked_into_says_why() {
    let directory = directory();
    let segment = Options::new(1 << 14).directory(directory.path()).create("rain").unwrap();
    fs::write(directory.path().join("shmkit.other"), "somebody else's").unwrap();
    let said = [
        ("nothing", "there is no such segment"),
        ("other", "it belongs to another program"),
        ("rain/hits", "has no object \"hits\""),
        ("../x", "there is no such segment"),
    ];
    for (name, why) in said {
        let output = shmkit(&[name], &directory);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(why), "{name}: {error}");
    }
    drop(segment);
}

/// Whatever a peer has written, looking ends, and says something.
#[test]
fn a_damaged_segment_does_no_harm() {
    let directory = directory();
    let segment = Options::new(1 << 20).directory(directory.path()).create("whole").unwrap();
    segment.mutex("pan", 0_u64).unwrap();
    segment.map::<u64, u64>("map", 1 << 17).unwrap();
    segment.queue::<u32>("queue", 4).unwrap();
    let bytes = fs::read(segment.path().unwrap()).unwrap();
    let path = directory.path().join("shmkit.damaged");
    for seed in 0..40_u64 {
        let mut damaged = bytes.clone();
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for _ in 0..400 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Behind the header, which refuses to be damaged: roster, directory, and the objects' heads.
            let at = 128 + (random >> 8) as usize % (1 << 16);
            damaged[at] = random as u8;
        }
        fs::write(&path, damaged).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        for name in ["damaged", "damaged/pan", "damaged/map", "damaged/queue"] {
            let output = shmkit(&[name, "--json"], &directory);
            assert!(matches!(output.status.code(), Some(0 | 1)), "{seed}: {output:?}");
            assert_eq!(output.status.success(), output.stderr.is_empty(), "{seed}: {output:?}");
        }
    }
}
