//! All that is shown, at 80 and at 200 columns, as it was looked at and found good. After a change: `INSTA_UPDATE=always`, and look.

use std::fs;

use shmkit::{MessageSpec, Objects, Options, Segment};
use tempfile::TempDir;

use crate::call::Kitchen;
use crate::terminal::{ended, fits, shmkit};

/// One object of each kind, of which something is to be said, and files of every other sort.
struct Scene {
    directory: TempDir,
    kitchen: Segment,
}

impl Scene {
    fn new() -> Self {
        let directory =
            tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap();
        let options = Options::new(4 << 20).directory(directory.path());
        let kitchen = options.clone().content("kitchen/1").create("kitchen").unwrap();
        kitchen.value("count", -7_i64).unwrap();
        kitchen.array("steps", [1.5_f64, 2.5, 3.5]).unwrap();
        kitchen.rwlock("table", [0.0_f64; 4]).unwrap();
        kitchen.semaphore("doors", 3).unwrap();
        kitchen.event("bell").unwrap().set().unwrap();
        kitchen.barrier("all", 4).unwrap();
        kitchen.condvar("news").unwrap();
        kitchen.once("lit").unwrap();
        let orders = kitchen.queue::<u32>("orders", 8).unwrap();
        orders.put_all(&[1, 2]).unwrap();
        let letters = kitchen.message_queue("letters", MessageSpec::new(8, 1 << 18)).unwrap();
        letters.put(b"Dear cook").unwrap();
        let stack = kitchen.lifo_queue::<u32>("plates", 16).unwrap();
        stack.put(7).unwrap();
        kitchen.broadcast::<u64>("radio", 16).unwrap();
        kitchen.pipe::<u64>("pipe", 16).unwrap();
        kitchen.frames("talk", 4096).unwrap();
        kitchen.map::<str, i64>("prices", 1 << 18).unwrap().insert("soup", &4).unwrap();
        kitchen.vec::<u32>("pots", 1 << 17).unwrap().push(3).unwrap();
        kitchen.deque::<u32>("line", 1 << 17).unwrap().push_back(1).unwrap();
        kitchen.mutex("pan", 0_u64).unwrap();
        let kept = Options::new(1 << 12).directory(directory.path()).persistent(true);
        drop(kept.content("weather/1").create("kept").unwrap());
        let left = directory.path().join("shmkit.left");
        fs::copy(kitchen.path().unwrap(), left).unwrap();
        fs::write(directory.path().join("shmkit.other"), "somebody else's").unwrap();
        Self { directory, kitchen }
    }

    /// What a command shows, without what is another in each run.
    fn shown(&self, columns: u16, args: &[&str]) -> String {
        let path = self.directory.path().to_str().unwrap();
        let mut command = shmkit(args);
        command.args(["--directory", path]).env("NO_COLOR", "1");
        let (code, text) = ended(columns, &mut command);
        fits(&text, columns.into());
        let pid = std::process::id().to_string();
        let comm = fs::read_to_string("/proc/self/comm").unwrap();
        let text = text.replace(path, "/dev/shm/…").replace(&pid, "PID");
        let text = text.replace(comm.trim(), "COMMAND");
        let uid = format!("of user {}", nix::unistd::geteuid());
        let text = text.replace(&uid, "of user UID");
        let made = |text: String, seconds: u32| {
            text.replace(&format!("made {seconds} s ago"), "made just now")
        };
        let text = (0..60).fold(text, made);
        let words = |line: &str| {
            let indent = line.len() - line.trim_start().len();
            // A column is as wide as a number in it.
            let words: Vec<_> = line.split_whitespace().collect();
            format!("{}{}\n", " ".repeat(indent.min(4)), words.join(" "))
        };
        let text: String = text.lines().map(words).collect();
        let line = format!("$ shmkit {}\n", args.join(" "));
        format!("{line}{text}[{}]\n\n", code.unwrap_or(-1))
    }
}

#[test]
fn what_lists_and_inspects() {
    let scene = Scene::new();
    let pan = scene.kitchen.mutex("pan", 0_u64).unwrap();
    let _held = pan.lock().unwrap();
    for columns in [80, 200] {
        let commands: [&[&str]; 8] = [
            &["ls"],
            &["ls", "--long"],
            &["inspect", "kitchen/pan"],
            &["inspect", "kitchen/steps"],
            &["inspect", "kitchen/count"],
            &["gc"],
            &["deadlocks"],
            &["wait-chains", "1"],
        ];
        let all: String = commands.iter().map(|args| scene.shown(columns, args)).collect();
        insta::assert_snapshot!(format!("lists-{columns}"), all);
    }
}

#[test]
fn what_is_called() {
    let kitchen = Kitchen::of("shown");
    let commands: [&[&str]; 4] =
        [&[], &["cook", "soup", "3"], &["halve", "seven"], &["burn", "soup"]];
    for columns in [80, 200] {
        let mut all = String::new();
        for args in commands {
            let args = [&["call", &kitchen.name], args].concat();
            let (code, text) = ended(columns, shmkit(&args).env("NO_COLOR", "1"));
            let line = format!("$ shmkit {}\n", args.join(" "));
            all += &format!("{line}{text}[{}]\n\n", code.unwrap_or(-1));
        }
        insta::assert_snapshot!(format!("call-{columns}"), all.replace(&kitchen.name, "kitchen"));
    }
}

/// All kinds of objects: what their bytes say.
#[test]
fn what_is_said_of_each_kind_of_object() {
    let scene = Scene::new();
    let output = shmkit(&["inspect", "kitchen", "--json", "--directory"])
        .arg(scene.directory.path())
        .output()
        .unwrap();
    let seen: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let said = |object: &serde_json::Value| {
        format!("{}: {} {}\n", object["name"], object["kind"], object["state"]).replace('"', "")
    };
    let all: String = seen["objects"].as_array().unwrap().iter().map(said).collect();
    insta::assert_snapshot!("objects", all);
}

#[test]
fn what_helps() {
    let names = [
        "",
        "tour",
        "ls",
        "gc",
        "rm",
        "inspect",
        "deadlocks",
        "wait-chains",
        "top",
        "doctor",
        "bench",
        "export",
        "send",
        "recv",
        "call",
        "completions",
        "man",
        "watch",
    ];
    for columns in [80, 200] {
        let mut all = String::new();
        for name in names {
            let args: Vec<_> = [name, "--help"].into_iter().filter(|arg| !arg.is_empty()).collect();
            let (code, text) = ended(columns, shmkit(&args).env("NO_COLOR", "1"));
            assert_eq!(code, Some(0), "{text}");
            let text: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
            all += &format!("$ shmkit {}\n{text}\n", args.join(" "));
        }
        insta::assert_snapshot!(format!("help-{columns}"), all);
    }
}
