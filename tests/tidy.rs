//! What no lint can say about this workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which crates of ours each crate may use, apart from tests: the arrows of `crates/README.md`.
const ARROWS: &[(&str, &[&str])] = &[
    ("atomic", &[]),
    ("derive", &[]),
    ("value", &[]),
    ("layout", &["atomic", "derive"]),
    ("roster", &["atomic", "layout"]),
    ("sync", &["atomic", "layout", "roster"]),
    ("wait", &["atomic", "roster", "sync"]),
    ("connection", &["atomic", "roster", "sync", "value", "wait"]),
    ("cell", &["atomic", "layout", "roster", "sync"]),
    ("heap", &["atomic", "layout", "roster", "sync"]),
    ("collections", &["atomic", "heap", "layout", "roster", "sync", "value"]),
    ("pipe", &["atomic", "layout", "roster", "sync", "value", "wait"]),
    ("queue", &["atomic", "heap", "layout", "roster", "sync", "value", "wait"]),
    ("tokio", &["layout", "pipe", "queue", "roster", "wait"]),
    ("segment", &["atomic", "layout", "roster", "sync"]),
    ("parcel", &["layout", "roster", "segment"]),
    ("process", &["atomic", "derive", "parcel", "roster", "sync"]),
    ("duplex", &["atomic", "connection", "pipe", "roster", "segment", "sync", "wait"]),
    ("tracker", &["atomic", "layout", "roster", "sync", "segment"]),
    (
        "pool",
        &[
            "atomic", "cell", "heap", "layout", "parcel", "process", "queue", "roster", "segment",
            "sync",
        ],
    ),
    ("manager", &["connection", "derive", "parcel", "process", "sync"]),
    ("call", &["connection", "pool", "process", "roster", "sync"]),
    (
        "shmkit",
        &[
            "atomic",
            "layout",
            "roster",
            "sync",
            "call",
            "cell",
            "heap",
            "collections",
            "connection",
            "duplex",
            "manager",
            "parcel",
            "pipe",
            "pool",
            "process",
            "queue",
            "segment",
            "tokio",
            "tracker",
            "value",
            "wait",
        ],
    ),
    ("cli", &["shmkit"]),
    ("xtask", &[]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file below `folder` that git would keep and that ends in `extension`, with its path from the root.
fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    fn walk(dir: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() {
                if !name.starts_with('.') && name != "target" && name != "corpus" {
                    walk(&path, extension, found);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), extension, &mut found);
    assert!(!found.is_empty(), "nothing ends in {extension} below {folder}");
    found.sort();
    let name = |path: &Path| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    found.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// The lines of a source file that are code, with their numbers from 1.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_code = |line: &str| !line.trim_start().starts_with("//");
    text.lines().enumerate().map(|(i, line)| (i + 1, line)).filter(move |(_, line)| is_code(line))
}

/// Reports every line of code in `folder` that `bad` holds of.
#[track_caller]
fn refuse(folder: &str, except: &[&str], why: &str, bad: impl Fn(&str) -> bool) {
    let mut found = Vec::new();
    for (name, text) in files(folder, "rs") {
        if except.iter().any(|e| name.contains(e)) {
            continue;
        }
        found.extend(
            code(&text)
                .filter(|(_, line)| bad(line))
                .map(|(n, line)| format!("{name}:{n}: {line}")),
        );
    }
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

/// An atomic loom does not know about is an interleaving loom never tries.
#[test]
fn atomics_come_from_one_crate() {
    // Not part of any model: what the models count their own runs with, and the switch of seeded faults.
    let models = ["crates/atomic/", "crates/sync/src/crash.rs", "/tests/"];
    refuse("crates", &models, "use shmkit_atomic", |line| {
        [
            "core::sync::atomic",
            "std::sync::atomic",
            "core::cell::UnsafeCell",
            "std::cell::UnsafeCell",
        ]
        .iter()
        .any(|name| line.contains(name))
    });
}

/// A private futex is keyed by virtual address: a waiter in another process would sleep for ever.
#[test]
fn no_futex_is_private_and_all_are_in_one_crate() {
    refuse("crates", &[], "no futex of ours is private", |line| line.contains("PRIVATE_FLAG"));
    // `asleep` calls nobody: it reads which calls others are in.
    let known = ["crates/atomic/", "crates/tracker/src/asleep.rs"];
    refuse("crates", &known, "futexes are waited on through shmkit_atomic", |line| {
        line.contains("SYS_futex")
    });
}

/// glibc owns the head of every thread's robust list.
#[test]
fn nobody_touches_a_robust_list() {
    refuse("crates", &[], "see crates/README.md", |line| line.contains("set_robust_list"));
}

#[test]
fn nothing_is_left_for_later() {
    // Written in two parts, so that this file does not find itself.
    let marks = [
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("FIX", "ME"),
        concat!("#[ig", "nore"),
    ];
    for folder in ["crates", "tests", "benches", "fuzz"] {
        refuse(folder, &[], "unfinished by its own words", |line| {
            marks.iter().any(|m| line.contains(m))
        });
    }
}

#[test]
fn facade_and_command_forbid_unsafe_code() {
    for name in ["crates/shmkit/src/lib.rs", "crates/cli/src/main.rs"] {
        let text = fs::read_to_string(root().join(name)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{name}");
    }
}

/// The names below `[dependencies]` (and the same of a target) of a manifest.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            inside = section == "dependencies"
                || (section.starts_with("target.") && section.ends_with(").dependencies"))
                || (section.starts_with("target.") && section.ends_with("'.dependencies"));
        } else if inside
            && let Some(name) = line.split(['.', ' ', '=']).next()
            && !name.is_empty()
            && !name.starts_with('#')
        {
            names.insert(name.to_owned());
        }
    }
    names
}

#[test]
fn arrows_run_one_way() {
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let folder = path.file_name().unwrap().to_string_lossy().into_owned();
        let allowed =
            allowed.get(&*folder).unwrap_or_else(|| panic!("crates/{folder} has no arrows"));
        let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap();
        for name in dependencies(&manifest) {
            let ours = match name.strip_prefix("shmkit-") {
                Some(ours) => ours,
                None if name == "shmkit" => "shmkit",
                None => continue,
            };
            assert!(allowed.contains(&ours), "crates/{folder} must not know shmkit-{ours}");
        }
    }
}

/// Locks are embedded in other people's systems: what they bring along is counted.
#[test]
fn locks_bring_at_most_twelve_foreign_crates() {
    let tree = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["tree", "--package", "shmkit-sync", "--edges", "normal,build", "--prefix", "none"])
        .args(["--offline", "--locked", "--format", "{p}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8_lossy(&tree.stdout);
    let names: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let foreign: Vec<_> = names.iter().filter(|name| !name.starts_with("shmkit-")).collect();
    assert!(names.contains("shmkit-roster") && foreign.contains(&&"libc"), "{names:?}");
    assert!(foreign.len() <= 12, "{} crates: {foreign:?}", foreign.len());
}

#[test]
fn dependencies_are_read_from_manifests() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\n# no\nb = \"1\"\n\
                    [target.'cfg(not(loom))'.dependencies]\nc = { path = \"c\" }\n[dev-dependencies]\nd = \"1\"\n";
    let expected: BTreeSet<_> = ["a", "b", "c"].map(str::to_owned).into();
    assert_eq!(dependencies(manifest), expected);
}

/// Every ordering that is not Relaxed says why, and names the other half.
#[test]
fn orderings_are_explained() {
    const NEAR: usize = 12;
    let mut found = Vec::new();
    for (name, text) in files("crates", "rs") {
        if name.contains("/tests/") || name.contains("/examples/") {
            continue;
        }
        let body = text.split("#[cfg(test)]").next().unwrap();
        let lines: Vec<_> = body.lines().collect();
        for (n, line) in code(body) {
            let used = ["Acquire", "Release", "AcqRel", "SeqCst"].into_iter().find(|ordering| {
                // An argument of a call, and not the beginning of another name.
                line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == *ordering)
            });
            let Some(used) = used else { continue };
            if line.trim_start().starts_with("use ") || line.trim_start().starts_with("pub use ") {
                continue;
            }
            let above = &lines[n.saturating_sub(NEAR + 1)..n];
            if !above.iter().any(|l| l.contains("//") && l.contains(used)) {
                found.push(format!("{name}:{n}: {line}"));
            }
        }
    }
    assert!(found.is_empty(), "no comment near by says why:\n{}", found.join("\n"));
}

/// One idea a file.
#[test]
fn files_are_short() {
    for folder in ["crates", "tests"] {
        for (name, text) in files(folder, "rs") {
            assert!(text.lines().count() <= 500, "{name}: is there a second idea inside?");
        }
    }
}

/// What can grow must not break who matches it; what cannot says why, so that whoever matches it may count on that.
#[test]
fn every_public_enum_is_open_or_says_why_it_is_closed() {
    let mut found = Vec::new();
    for (name, text) in files("crates", "rs") {
        // Programs, and what only models see.
        if ["/tests/", "/examples/", "crates/xtask/", "crates/sync/src/crash.rs"]
            .iter()
            .any(|e| name.contains(e))
        {
            continue;
        }
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("pub enum "))
        {
            let head = lines[..at].iter().rev().take_while(|line| !line.is_empty());
            let told =
                |line: &&str| *line == "#[non_exhaustive]" || line.starts_with("/// Closed: ");
            if !head.into_iter().any(told) {
                found.push(format!("{name}:{}: {line}", at + 1));
            }
        }
    }
    assert!(found.is_empty(), "`#[non_exhaustive]`, or `/// Closed: why`:\n{}", found.join("\n"));
}

/// What whoever finds a crate alone needs: what it is, what may be done with it, and what has changed.
/// `?` must lead into `io::Result` from whatever fails, as it does into `Box<dyn Error>`.
#[test]
fn every_public_error_is_one_of_io() {
    let sources = files("crates", "rs");
    let into_io: String = sources
        .iter()
        .map(|(_, text)| text.as_str())
        .filter(|text| text.contains("for io::Error"))
        .collect();
    // As a whole word that stands in an `impl`, or in the list of a macro that writes them.
    let is_one = |error: &str| {
        [
            format!("From<{error}>"),
            format!("From<{error}<"),
            format!(" {error}: "),
            format!(" {error} =>"),
        ]
        .iter()
        .any(|way| into_io.contains(way))
    };
    let declared = sources.iter().flat_map(|(name, text)| {
        let error = |line: &str| {
            let rest =
                ["pub enum ", "pub struct "].iter().find_map(|how| line.strip_prefix(how))?;
            let error = rest.split(|c: char| !c.is_alphanumeric()).next()?;
            error.ends_with("Error").then(|| error.to_owned())
        };
        text.lines().filter_map(error).map(move |error| format!("{name}: {error}"))
    });
    let lacking: Vec<String> =
        declared.filter(|line| !is_one(line.rsplit(' ').next().unwrap_or_default())).collect();
    assert!(lacking.is_empty(), "`impl From<…> for io::Error` is missing:\n{}", lacking.join("\n"));
}

#[test]
fn every_package_carries_its_papers() {
    for (krate, _) in ARROWS.iter().filter(|(krate, _)| *krate != "xtask") {
        let folder = root().join("crates").join(krate);
        for paper in ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            let text = fs::read_to_string(folder.join(paper));
            assert!(text.is_ok_and(|text| text.len() > 200), "crates/{krate}/{paper}");
        }
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        for line in ["documentation = ", "[package.metadata.docs.rs]\nall-features = true"] {
            assert!(manifest.contains(line), "{line} in crates/{krate}/Cargo.toml");
        }
        let page = fs::read_to_string(folder.join("src/lib.rs")).unwrap_or_default();
        let features = manifest.split("[features]").nth(1).unwrap_or_default();
        let features = features.split("\n[").next().unwrap();
        let told = |line: &&str| !line.starts_with('#') && !line.starts_with("default =");
        for feature in features.lines().filter(told) {
            let Some((name, _)) = feature.split_once(" = ") else { continue };
            assert!(page.contains(&format!("//! * `{name}`: ")), "{name} on the page of {krate}");
        }
    }
}

/// Which systems it runs on is said once and alike.
#[test]
fn platforms_are_told_in_one_way() {
    let platform = |text: &str| text.replace("\n//!", "").replace('\n', " ");
    for place in ["README.md", "crates/shmkit/src/lib.rs", "crates/roster/src/lib.rs"] {
        let text = platform(&fs::read_to_string(root().join(place)).unwrap());
        assert!(text.contains("Linux 5.6 or later, 64 bits"), "{place}");
        assert_eq!(
            text.matches("Linux 4.").count() + text.matches("Linux 5.").count(),
            1,
            "{place}"
        );
    }
}
