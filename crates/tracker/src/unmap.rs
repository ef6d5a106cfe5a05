//! Leaving the memory that a forked process has inherited.

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::read;

/// Bytes that are read at a time; a line has 4,200 at most, of which the first 70 matter.
const BUFFER: usize = 2 << 10;

/// Unmaps all memory that is shared with others: segments, above all, whose memory would be kept by it. Where there is no
/// `/proc` to ask, it stays.
pub(crate) fn unmap_shared() {
    let Ok(maps) = open(c"/proc/self/maps", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
    else {
        return;
    };
    let mut buffer = [0; BUFFER];
    let mut line = Line::default();
    loop {
        let len = match read(&maps, &mut buffer) {
            Err(Errno::EINTR) => continue,
            Ok(len) if len > 0 => len,
            _ => return,
        };
        for &byte in &buffer[..len] {
            if let Some((start, end)) = line.take(byte) {
                // SAFETY: nobody in this process uses shared memory any more: it has one thread, which uses none.
                unsafe { libc::munmap(start as *mut libc::c_void, end - start) };
            }
        }
    }
}

/// What is known of a line so far: `start-end rwxs …`.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    start: usize,
    end: usize,
    field: Field,
    at: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Field {
    #[default]
    Start,
    End,
    Access,
    Rest,
}

impl Line {
    /// Takes a byte; returns what the line is about when it is known to be shared.
    fn take(&mut self, byte: u8) -> Option<(usize, usize)> {
        let digit = char::from(byte).to_digit(16).map(|digit| digit as usize);
        match (self.field, byte) {
            (_, b'\n') => *self = Self::default(),
            (Field::Start, b'-') => self.field = Field::End,
            (Field::End, b' ') => self.field = Field::Access,
            (Field::Start, _) => self.start = self.start << 4 | digit.unwrap_or(0),
            (Field::End, _) => self.end = self.end << 4 | digit.unwrap_or(0),
            (Field::Access, _) => {
                self.at += 1;
                if self.at == 4 {
                    self.field = Field::Rest;
                    return (byte == b's' && self.end > self.start)
                        .then_some((self.start, self.end));
                }
            }
            (Field::Rest, _) => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_memory_is_told_from_the_rest() {
        let maps = "55d0-55e0 r-xp 00000000 00:1b 1 /bin/s\n\
                    7f0000000000-7f0000001000 rw-s 00000000 00:1b 2 /dev/shm/shmkit.a b (deleted)\n\
                    7f0000001000-7f0000002000 ---p 00000000 00:1b 2 /dev/shm/shmkit.a\n\
                    8000-9000 r--s 0 0 0\n";
        let mut line = Line::default();
        let found: Vec<_> = maps.bytes().filter_map(|byte| line.take(byte)).collect();
        assert_eq!(found, [(0x7f00_0000_0000, 0x7f00_0000_1000), (0x8000, 0x9000)]);
    }
}
