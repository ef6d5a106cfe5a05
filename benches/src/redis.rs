//! A Redis of its own, asked over a Unix socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::map::{self, Key, Map, Value};

/// Runs the server until the end of the input: so it ends when this process does, in whatever way.
const SERVER: &str = r#"
redis-server --port 0 --unixsocket "$1" --save '' --appendonly no --daemonize no >/dev/null &
cat >/dev/null
kill $!
wait
"#;
/// Longer than a server needs to start.
const LIMIT: Duration = Duration::from_secs(20);

/// Returns whether there is one on this machine.
pub(crate) fn is_there() -> bool {
    Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_ok()
}

/// A server, and a connection to it. It ends when this is dropped.
pub(crate) struct Redis {
    child: Child,
    input: Option<ChildStdin>,
    socket: PathBuf,
    // A cell, since a map is asked by who shares it.
    connection: std::cell::RefCell<BufReader<UnixStream>>,
}

impl Redis {
    /// Starts a server, and fills it.
    pub(crate) fn start() -> Result<Self> {
        let socket = std::env::temp_dir().join(format!("shmkit-bench-{}", std::process::id()));
        let mut child = Command::new("sh")
            .args(["-c", SERVER, "sh"])
            .arg(&socket)
            .stdin(Stdio::piped())
            .spawn()
            .context("sh cannot be started")?;
        let input = child.stdin.take();
        let began = Instant::now();
        let stream = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(error) if began.elapsed() > LIMIT => {
                    return Err(error).context("redis-server does not answer");
                }
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        };
        let connection = BufReader::new(stream).into();
        let this = Self { child, input, socket, connection };
        map::fill(&this)?;
        Ok(this)
    }

    /// Sends a request of these words, and returns the first line of the answer.
    fn ask(&self, words: &[&[u8]]) -> Result<String> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            write!(request, "${}\r\n", word.len())?;
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        let mut connection = self.connection.borrow_mut();
        connection.get_mut().write_all(&request)?;
        let mut line = String::new();
        connection.read_line(&mut line)?;
        Ok(line)
    }
}

impl Map for Redis {
    fn get(&self, key: &Key) -> Result<Option<Value>> {
        let line = self.ask(&[b"GET", key])?;
        if line.starts_with("$-1") {
            return Ok(None);
        }
        ensure!(line == "$64\r\n", "redis-server answers {line:?}");
        let mut value = [0; 66];
        self.connection.borrow_mut().read_exact(&mut value)?;
        let (words, _) = value.as_chunks();
        Ok(Some(std::array::from_fn(|i| u64::from_ne_bytes(words[i]))))
    }

    /// Its `SET` does not say what was there before: so this says what is there now.
    fn insert(&self, key: &Key, value: &Value) -> Result<Option<Value>> {
        let bytes = value.map(u64::to_ne_bytes).concat();
        match self.ask(&[b"SET", key, &bytes])?.as_str() {
            "+OK\r\n" => Ok(Some(*value)),
            other => bail!("redis-server answers {other:?}"),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.input.take());
        // It has ended, or is about to.
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}
