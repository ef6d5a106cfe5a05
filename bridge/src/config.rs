//! How a node is to be reached, and reaches others.

use std::path::PathBuf;

use crate::BridgeError;
use crate::frame::MOST_MESSAGE;

/// How a node is to be reached, and whom it connects to.
///
/// What is not said here is zenoh's: a [file](Self::file) in its own format says all that it knows, TLS, passwords and access control
/// among it.
///
/// ```
/// use shmkit_bridge::Config;
///
/// let config = Config::new().host("rack-3").listen("tcp/0.0.0.0:7447").connect("tcp/10.0.0.7:7447");
/// # let _ = config;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it opens nothing before `Node::open`"]
pub struct Config {
    host: Option<String>,
    listen: Vec<String>,
    connect: Vec<String>,
    file: Option<PathBuf>,
}

impl Config {
    /// One that listens nowhere and connects to nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// What this machine is called to others; by default what it calls itself.
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.host = Some(name.into());
        self
    }

    /// Where others can connect to it, as `tcp/0.0.0.0:7447`; several, if said several times.
    pub fn listen(mut self, endpoint: impl Into<String>) -> Self {
        self.listen.push(endpoint.into());
        self
    }

    /// Whom it connects to, as `tcp/10.0.0.7:7447`, again and again if that is not there, or is no more; several, if said several times.
    pub fn connect(mut self, endpoint: impl Into<String>) -> Self {
        self.connect.push(endpoint.into());
        self
    }

    /// Begins with what stands in a file of zenoh's, in JSON5 or YAML. What is said here beside it counts instead.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    pub(crate) fn host_name(&self) -> Result<String, BridgeError> {
        let name = match &self.host {
            Some(name) => name.clone(),
            None => {
                std::fs::read_to_string("/proc/sys/kernel/hostname").map_err(BridgeError::Os)?
            }
        };
        let name = name.trim().to_owned();
        checked("host", &name)?;
        Ok(name)
    }

    pub(crate) fn zenoh(&self) -> Result<zenoh::Config, BridgeError> {
        let read = BridgeError::zenoh("read its configuration");
        let mut config = match &self.file {
            Some(path) => zenoh::Config::from_file(path).map_err(read)?,
            None => zenoh::Config::default(),
        };
        let mut set = |key: &str, value: &str| {
            config
                .insert_json5(key, value)
                .map_err(BridgeError::zenoh("take what its configuration was to be"))
        };
        // A JSON text of strings that have no quote in them, as no endpoint has.
        let list = |all: &[String]| {
            let quoted: Vec<_> =
                all.iter().map(|one| format!("\"{}\"", one.replace(['"', '\\'], ""))).collect();
            format!("[{}]", quoted.join(","))
        };
        if self.file.is_none() || !self.listen.is_empty() {
            set("listen/endpoints", &list(&self.listen))?;
        }
        if self.file.is_none() || !self.connect.is_empty() {
            set("connect/endpoints", &list(&self.connect))?;
        }
        if self.file.is_none() {
            // Nobody is found by shouting: who is to be reached is said.
            set("scouting/multicast/enabled", "false")?;
            set(
                "connect/retry",
                "{period_init_ms: 50, period_max_ms: 1000, period_increase_factor: 2}",
            )?;
        }
        // What is longer is none of ours, and closes its link before it takes any memory.
        set("transport/link/rx/max_message_size", &(2 * MOST_MESSAGE).to_string())?;
        Ok(config)
    }
}

/// Checks what becomes a part of a key.
pub(crate) fn checked(of: &'static str, name: &str) -> Result<(), BridgeError> {
    let is_odd = |c: char| "/*$#?@".contains(c) || c.is_whitespace() || c.is_control();
    if name.is_empty() || name.len() > 200 || name.contains(is_odd) {
        return Err(BridgeError::Name { of, found: name.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_in_the_readme_is_one() {
        let readme = include_str!("../../README.md");
        let text = readme.split_once("```json5\n").and_then(|(_, rest)| rest.split_once("```"));
        let (text, _) = text.unwrap();
        let file = std::env::temp_dir().join(format!("shmkit-{}.json5", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let config = Config::new().file(&file).zenoh();
        std::fs::remove_file(&file).unwrap();
        let listens = config.unwrap().get_json("listen/endpoints").unwrap();
        assert!(listens.contains("tls/0.0.0.0:7447"), "{listens}");
    }

    #[test]
    fn a_name_is_a_part_of_a_key() {
        for good in ["jobs", "rack-3.example.org", "größe"] {
            assert!(checked("queue", good).is_ok(), "{good}");
        }
        for bad in ["", "a/b", "a*", "$a", "a b", "name@host", &"x".repeat(201)] {
            let error = checked("queue", bad).unwrap_err().to_string();
            assert!(error.contains("of a queue"), "{error}");
        }
    }
}
