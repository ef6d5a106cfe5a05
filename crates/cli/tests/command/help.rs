//! What `--help` shows as an example can be run as it stands.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use shmkit::{Objects, Options};
use tempfile::TempDir;

use crate::call::Kitchen;
use crate::support::{Ended, end};

/// What examples may need that not every machine has: it takes what it is given.
const STAND_INS: [&str; 3] = ["jq", "dot", "man"];

fn help(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shmkit"));
    let output = command.args(args).arg("--help").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn commands() -> Vec<String> {
    let all = help(&[]);
    let lines = all.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = lines.take_while(|line| !line.is_empty());
    let name = |line: &str| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned);
    names.filter_map(name).filter(|name| !name.is_empty() && name != "help").collect()
}

/// The lines below `Example:`.
fn examples(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| !line.starts_with("Example"));
    lines.skip(1).map_while(|line| line.strip_prefix("  ")).map(str::to_owned).collect()
}

/// A shell that finds the command, in a folder of its own, where a directory of this test is `/dev/shm`.
struct Shell {
    place: TempDir,
    segments: TempDir,
}

impl Shell {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let segments =
            tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap();
        let bin = place.path().join("bin");
        fs::create_dir_all(place.path().join(".local/share/bash-completion/completions")).unwrap();
        fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_shmkit"), bin.join("shmkit")).unwrap();
        for name in STAND_INS {
            fs::write(bin.join(name), "#!/bin/sh\ntest \"$1\" = shmkit-ls || cat > /dev/null\n")
                .unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::create_dir(place.path().join("src")).unwrap();
        fs::write(place.path().join("src/main.rs"), "fn main() {}\n".repeat(1000)).unwrap();
        fs::write(place.path().join("README.md"), "# It\n").unwrap();
        Self { place, segments }
    }

    /// What the examples speak of.
    fn weather(&self) {
        let options = Options::new(1 << 16).directory(self.segments.path()).persistent(true);
        let weather = options.content("weather/1").create("weather").unwrap();
        weather.value("hits", 5_i64).unwrap();
        weather.mutex("table", 0_u64).unwrap();
    }

    fn run(&self, line: &str) -> Ended {
        let place = self.segments.path().display();
        let script = format!("mount --bind {place} /dev/shm && exec sh -c \"$1\"");
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", &script, "sh", line]);
        self.end(command)
    }

    /// The same, by this user, who is root in there.
    fn run_here(&self, line: &str) -> Ended {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        self.end(command)
    }

    fn end(&self, mut command: Command) -> Ended {
        command.current_dir(self.place.path());
        command.env("HOME", self.place.path()).env_remove("LD_LIBRARY_PATH");
        let path = std::env::var("PATH").unwrap();
        let bin = self.place.path().join("bin");
        command.env("PATH", format!("{}:{path}", bin.display()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        end(command.spawn().unwrap())
    }
}

#[test]
fn every_command_has_examples_and_they_run() {
    if Shell::new().run("test -d /dev/shm").code != Some(0) {
        eprintln!("skipped: no mount namespace can be made here");
        return;
    }
    let commands = commands();
    assert!(commands.len() >= 17, "{commands:?}");
    let kitchen = Kitchen::of("help");
    for command in commands {
        let text = help(&[&command]);
        let examples = examples(&text);
        assert!(!examples.is_empty(), "{command} has no example: {text}");
        // Two that meet run side by side.
        let lines = match &examples[..] {
            [one, other] if other.ends_with("# in another terminal") => {
                vec![format!("{one} & {other}\nwait $!")]
            }
            lines => lines.to_vec(),
        };
        for line in lines {
            let shell = Shell::new();
            shell.weather();
            // What goes on is ended by a signal: as a user would.
            let goes_on = ["--listen", "--watch", "top --json", "shmkit watch\n"];
            let is_endless = goes_on.iter().any(|part| format!("{line}\n").contains(part));
            let (run, expected): (String, &[i32]) = if line.trim() == "shmkit top" {
                // It wants a terminal: see the tests of `top`.
                (line.clone(), &[1])
            } else if is_endless {
                // 124: the last of a pipeline is told nothing, and `timeout` ended the first.
                (format!("timeout -s TERM 2 {line}"), &[143, 124, 0])
            } else {
                // 6: there is something to be seen.
                (line.clone(), &[0, 6])
            };
            let ended = match command.as_str() {
                // Of a name that no other test's program has.
                "call" => shell.run_here(&run.replace("kitchen", &kitchen.name)),
                _ => shell.run(&run),
            };
            let code = ended.code.unwrap_or(-1);
            assert!(expected.contains(&code), "{command}: {run}: {ended:?}");
            let unknown = ["not found", "unexpected argument", "unrecognized"];
            assert!(unknown.iter().all(|part| !ended.stderr.contains(part)), "{run}: {ended:?}");
        }
    }
}
