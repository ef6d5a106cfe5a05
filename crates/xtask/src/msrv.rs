//! Whether the oldest compiler that is promised could do, as far as that shows without it.
//!
//! Every dependency says which version it needs, and none may need a later one than we promise. That our own code uses
//! nothing of a later `std` is clippy's part (`incompatible_msrv`). What nobody looks at here is the language itself.
//!
//! And whether the manifests promise no more of the dependencies: that an older version would do than the one that is
//! tested, which is the locked one.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    rust_version: Option<String>,
    #[serde(default)]
    dependencies: Vec<Dependency>,
    /// Where it may be published; none if nowhere, and nothing if everywhere.
    publish: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    req: String,
    /// Nothing for what the package itself needs.
    kind: Option<String>,
}

/// Compares what every package of the lock file needs with what we promise.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    // As it is locked, and nothing is downloaded that a build does not need, too.
    cargo.args(["metadata", "--format-version=1", "--locked"]);
    cargo.args(["--filter-platform", "x86_64-unknown-linux-gnu"]).current_dir(root);
    let output = cargo.output().context("cannot start `cargo metadata`")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata = serde_json::from_slice(&output.stdout).context("cannot read the metadata")?;
    let late = late(&metadata)?;
    if !late.is_empty() {
        bail!("these need a later compiler than is promised: {}", late.join(", "));
    }
    let untested = untested(&metadata)?;
    if !untested.is_empty() {
        bail!("the manifests promise older versions than are tested: {}", untested.join(", "));
    }
    Ok(())
}

fn late(metadata: &Metadata) -> Result<Vec<String>> {
    let is_ours = |package: &&Package| metadata.workspace_members.contains(&package.id);
    let mut ours = metadata.packages.iter().filter(is_ours);
    let promised = ours.next().context("there is no package here")?;
    let promised = number(promised.rust_version.as_deref().context("no version is promised")?)?;
    let mut late = Vec::new();
    for package in &metadata.packages {
        let Some(needed) = &package.rust_version else { continue };
        if number(needed)? > promised {
            late.push(format!("{} {} ({needed})", package.name, package.version));
        }
    }
    Ok(late)
}

/// The requirements of what is published whose least version is not the locked one.
fn untested(metadata: &Metadata) -> Result<Vec<String>> {
    let mut untested = Vec::new();
    let members = &metadata.workspace_members;
    for package in metadata.packages.iter().filter(|package| members.contains(&package.id)) {
        if package.publish.as_ref().is_some_and(Vec::is_empty) {
            continue;
        }
        for Dependency { name, req, .. } in package.dependencies.iter().filter(|d| d.kind.is_none())
        {
            let least = number(req.trim_start_matches(['^', '=']))?;
            let locked = metadata.packages.iter().filter(|package| package.name == *name);
            let locked = locked.map(|package| number(&package.version));
            // What no feature that is on asks for is not in the list.
            let locked = locked.collect::<Result<Vec<_>>>()?;
            if !locked.is_empty() && !locked.contains(&least) {
                untested.push(format!("{name} {req} of {}", package.name));
            }
        }
    }
    untested.sort();
    untested.dedup();
    Ok(untested)
}

/// A version as numbers; what is left out is 0.
fn number(version: &str) -> Result<[u32; 3]> {
    let mut numbers = [0; 3];
    // Without what follows the numbers: `0.9.12+spec-1.1.0`.
    let version = version.split('+').next().unwrap_or_default();
    for (number, part) in numbers.iter_mut().zip(version.split('.')) {
        *number = part.parse().with_context(|| format!("{version} is no version"))?;
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_needs_a_later_compiler_is_named() {
        let package = |id: &str, rust_version: Option<&str>| Package {
            id: id.into(),
            name: id.into(),
            version: "1.0.0".into(),
            rust_version: rust_version.map(Into::into),
            dependencies: Vec::new(),
            publish: None,
        };
        let packages = vec![
            package("fine", Some("1.9")),
            package("ours", Some("1.88")),
            package("old", None),
            package("late", Some("1.88.1")),
        ];
        let metadata = Metadata { packages, workspace_members: vec!["ours".into()] };
        assert_eq!(late(&metadata).unwrap(), ["late 1.0.0 (1.88.1)"]);
        assert!(number("1.x").is_err());
    }

    #[test]
    fn a_version_that_is_older_than_the_tested_one_is_named() {
        let package = |id: &str, version: &str, needs: &[(&str, &str, Option<&str>)]| Package {
            id: id.into(),
            name: id.into(),
            version: version.into(),
            rust_version: None,
            dependencies: needs
                .iter()
                .map(|&(name, req, kind)| Dependency {
                    name: name.into(),
                    req: req.into(),
                    kind: kind.map(Into::into),
                })
                .collect(),
            publish: None,
        };
        let needs = [
            ("fine", "^1.2.3", None),
            ("old", "^1.2", None),
            ("tests", "^1", Some("dev")),
            ("off", "^1", None),
        ];
        let mut hidden = package("hidden", "0.0.0", &needs);
        hidden.publish = Some(Vec::new());
        let packages = vec![
            package("ours", "0.1.0", &needs),
            hidden,
            package("fine", "1.2.3+more", &[]),
            package("fine", "0.9.0", &[]),
            package("old", "1.2.4", &[("older", "^0.1", None)]),
            package("tests", "1.5.0", &[]),
        ];
        let workspace_members = vec!["ours".into(), "hidden".into()];
        let metadata = Metadata { packages, workspace_members };
        assert_eq!(untested(&metadata).unwrap(), ["old ^1.2 of ours"]);
    }
}
