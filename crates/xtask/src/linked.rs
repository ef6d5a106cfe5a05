//! Programs that run tasks, linked in every way: the table of tasks is a section of the program, and no linker may lose it.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{cargo, root};

/// How they are built: a name, the profile, flags of the compiler.
const WAYS: [(&str, &str, &str); 6] = [
    ("rust-lld", "dev", ""),
    ("rust-lld, unused sections dropped", "dev", "-Clink-arg=-Wl,-z,start-stop-gc"),
    ("GNU ld", "dev", "-Clinker-features=-lld"),
    (
        "GNU ld, unused sections dropped",
        "dev",
        "-Clinker-features=-lld -Clink-arg=-Wl,--gc-sections",
    ),
    ("rust-lld, fat LTO, stripped, panic = abort", "fat", ""),
    ("GNU ld, fat LTO, stripped, panic = abort", "fat", "-Clinker-features=-lld"),
];

/// Builds and runs all of them whose name contains one of `names`, or all.
pub(crate) fn run(names: &[String]) -> Result<()> {
    for (way, profile, flags) in WAYS {
        if !names.is_empty() && !names.iter().any(|name| way.contains(name.as_str())) {
            continue;
        }
        let target = root().join("target/linked");
        let with = |command: &mut Command| {
            command.args(["--package", "shmkit-linked", "--profile", profile]);
            command.env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", &target);
        };
        let mut build = cargo(["build"]);
        with(&mut build);
        crate::run(&mut build)?;
        let folder = target.join(if profile == "dev" { "debug" } else { profile });
        let copy = folder.join("own-main-copy");
        fs::copy(folder.join("own-main"), &copy)?;
        says(Command::new(&copy).arg("--moves").arg(&copy), "ok\n")?;
        says(&mut Command::new(folder.join("no-line")), "42\n")?;
        if profile == "dev" {
            let mut test = cargo(["test"]);
            with(&mut test);
            crate::run(&mut test)?;
        }
        println!("{way}: ok");
    }
    Ok(())
}

/// Runs a program that is to say just this.
fn says(command: &mut Command, what: &str) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(
        output.status.success() && said == what,
        "{command:?}: {}: {said}{complained}",
        output.status
    );
    Ok(())
}
