//! Lines between a test and its peer: the only way in which they make order.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How long either side waits for the other, at most.
const LIMIT: Duration = Duration::from_secs(20);

/// Two descriptors, one to hear lines from and one to say lines to.
#[derive(Debug)]
pub struct Channel {
    input: File,
    output: File,
    /// What was read and is not yet a line.
    rest: Vec<u8>,
}

impl Channel {
    /// Makes a channel from its two descriptors.
    pub fn new(input: OwnedFd, output: OwnedFd) -> Self {
        Self { input: input.into(), output: output.into(), rest: Vec::new() }
    }

    /// The channel of a freshly executed peer: its standard input and output.
    pub fn standard() -> Self {
        let input = std::io::stdin().as_fd().try_clone_to_owned().expect("dup");
        let output = std::io::stdout().as_fd().try_clone_to_owned().expect("dup");
        Self::new(input, output)
    }

    /// Says one line.
    ///
    /// # Panics
    ///
    /// If the other side is gone.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        self.output.write_all(format!("{line}\n").as_bytes()).expect("the other side is gone");
    }

    /// Hears one line.
    ///
    /// # Panics
    ///
    /// If none comes within 20 seconds, or the other side is gone.
    #[track_caller]
    pub fn hear(&mut self) -> String {
        self.try_hear(LIMIT).expect("the other side said nothing")
    }

    /// Hears one line, or nothing by the end of `limit` or when the other side is gone.
    pub fn try_hear(&mut self, limit: Duration) -> Option<String> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(end) = self.rest.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let mut fds = [PollFd::new(self.input.as_fd(), PollFlags::POLLIN)];
            // Rounded up: a poll of 0 ms would spin to the deadline.
            let millis = u16::try_from(left.as_millis() + 1).unwrap_or(u16::MAX);
            match poll(&mut fds, PollTimeout::from(millis)) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => continue,
                Ok(_) => {}
                Err(error) => panic!("poll: {error}"),
            }
            let mut buffer = [0; 4096];
            match self.input.read(&mut buffer) {
                Ok(0) => return None,
                Ok(n) => self.rest.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => panic!("read: {error}"),
            }
        }
    }
}
