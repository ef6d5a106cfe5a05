//! Whether the oldest compiler that is promised could do, as far as that shows without it.
//!
//! Every dependency says which version it needs, and none may need a later one than we promise. That our own code uses
//! nothing of a later `std` is clippy's part (`incompatible_msrv`). What nobody looks at here is the language itself.

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

/// A version as numbers; what is left out is 0.
fn number(version: &str) -> Result<[u32; 3]> {
    let mut numbers = [0; 3];
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
}
