//! The header, and programs in C, C++ and Python over the library, which share memory with this one.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use shmkit::{LockError, Objects, Options};
use tempfile::TempDir;

/// No program here takes a tenth of this.
const LIMIT: Duration = Duration::from_secs(120);
/// How often each program adds one.
const TIMES: u64 = 1000;

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the libraries of this package are: this program is in a folder beside or below them.
fn libraries() -> PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let has = |folder: &PathBuf| folder.join("libshmkit_c.so").exists();
    let folders = [deps.clone(), deps.parent().unwrap().to_owned()];
    folders.into_iter().find(has).expect("the library is built with its tests")
}

/// Compiles a program: of C with the static library, of C++ with the shared one.
#[track_caller]
fn compile(source: &str, folder: &TempDir) -> PathBuf {
    let program = folder.path().join(source.replace('.', "-"));
    let libraries = libraries();
    let is_c = source.ends_with(".c");
    let mut compiler = Command::new(if is_c { "cc" } else { "c++" });
    compiler.args([if is_c { "-std=c11" } else { "-std=c++17" }, "-D_GNU_SOURCE"]);
    compiler.args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"]);
    compiler.arg(package().join("include")).arg(package().join("tests/programs").join(source));
    compiler.arg("-o").arg(&program);
    if is_c {
        compiler.arg(libraries.join("libshmkit_c.a")).args(["-lpthread", "-ldl", "-lm"]);
    } else {
        compiler.arg("-L").arg(&libraries).arg("-lshmkit_c");
        compiler.arg(format!("-Wl,-rpath,{}", libraries.display()));
    }
    let output = compiler.output().expect("a C and a C++ compiler are needed: install cc and c++");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

/// Waits for the end of a program; kills it if that does not come.
#[track_caller]
fn end(mut child: Child) -> Output {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it did not end within {LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

#[track_caller]
fn good(child: Child) -> String {
    let output = end(child);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn piped(command: &mut Command) -> Child {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn name(what: &str) -> String {
    format!("test-c-{what}-{}", std::process::id())
}

#[test]
fn the_header_that_is_shipped_is_current() {
    let config = cbindgen::Config::from_file(package().join("cbindgen.toml")).unwrap();
    let builder = cbindgen::Builder::new().with_crate(package()).with_config(config);
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    let shipped = fs::read(package().join("include/shmkit.h")).unwrap();
    assert!(
        made == shipped,
        "make it anew: cargo run -p shmkit-capi --example header > bindings/c/include/shmkit.h"
    );
}

#[test]
fn every_function_does_and_says_what_the_header_says() {
    let folder = tempfile::tempdir().unwrap();
    for source in ["all.c", "all.cpp"] {
        let program = compile(source, &folder);
        good(piped(Command::new(program).arg(name(&source.replace('.', "-")))));
    }
}

/// Has a program take the lock, add one, and be killed.
#[track_caller]
fn hold_and_die(program: &Path, name: &str) {
    let mut holder = piped(Command::new(program).args([name, "hold"]));
    let mut said = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(said, "held\n");
}

/// One counter, one lock, one killed: Rust, C, C++ and Python.
#[test]
fn four_languages_share_a_counter_and_one_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (c, cpp) = (compile("counter.c", &folder), compile("counter.cpp", &folder));
    let name = name("four");
    let segment = Options::new(1 << 16).create(&name).unwrap();
    let lock = segment.mutex("lock", 0_u64).unwrap();
    let count = segment.value("count", 0_i64).unwrap();

    let mut python = Command::new("python3");
    python.arg(package().join("tests/programs/counter.py")).arg(libraries().join("libshmkit_c.so"));
    let mut programs = [Command::new(&c), Command::new(&cpp), python];
    let (mut inherited, mut added) = (0, 0);
    for program in &mut programs {
        hold_and_die(&c, &name);
        // Each language is told of a death once.
        let mut heir = Command::new(program.get_program());
        heir.args(program.get_args()).args([&name, "10"]);
        assert_eq!(good(piped(&mut heir)), "inherited\n");
        (inherited, added) = (inherited + 1, added + 11);
    }

    hold_and_die(&c, &name);
    let times = TIMES.to_string();
    let others = programs.map(|mut program| piped(program.args([&name, &times])));
    for _ in 0..TIMES {
        let mut guard = lock.lock().or_else(|error| {
            inherited += u32::from(matches!(error, LockError::OwnerDied(_)));
            let guard = error.into_guard()?;
            guard.make_consistent();
            Ok::<_, shmkit::LockFailure>(guard)
        });
        **guard.as_mut().unwrap() += 1;
        drop(guard);
        count.update(|count| *count += 1).unwrap();
    }
    let said: String = others.map(good).concat();
    inherited += said.matches("inherited\n").count() as u32;
    assert_eq!(inherited, 4, "one was told of each death, and answered for it");
    // What the dead had added counts, too.
    assert_eq!(*lock.lock().unwrap(), 4 * TIMES + 1 + added);
    assert_eq!(count.get().unwrap(), 4 * TIMES as i64 + 30);
    assert_eq!(lock.deaths(), 4);
}
