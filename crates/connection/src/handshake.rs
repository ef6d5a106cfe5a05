//! The mutual authentication: `deliver_challenge` and `answer_challenge` of Python.
//!
//! ```text
//! listener   #CHALLENGE#…   ->
//!                           <-  answer          client
//!            #WELCOME#      ->  (or #FAILURE#)
//!                           <-  #CHALLENGE#…
//!            answer         ->
//!                           <-  #WELCOME#
//! ```

use shmkit_atomic::Deadline;

use crate::{Connection, ConnectionError, HandshakeError, Key, digest};

const CHALLENGE: &[u8] = b"#CHALLENGE#";
const WELCOME: &[u8] = b"#WELCOME#";
pub(crate) const FAILURE: &[u8] = b"#FAILURE#";

/// The longest message of a handshake, in bytes. What is longer is refused before it is read.
const MOST: usize = 256;

/// What is to be done next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Send a challenge.
    Challenge,
    /// Check its answer.
    Verify,
    /// Answer the other side's challenge.
    Answer,
    /// Hear that the answer was right.
    Hear,
}

/// A connection whose ends do not know each other yet.
#[derive(Debug)]
pub(crate) struct Handshake {
    connection: Connection,
    key: Key,
    may_be_old: bool,
    steps: &'static [Step],
    /// What we have sent.
    challenge: Vec<u8>,
    /// The cap that the connection has after it.
    most: usize,
    /// When it is too late.
    pub(crate) deadline: Deadline,
}

impl Handshake {
    /// Begins as who listens does, or as who connects.
    pub(crate) fn new(
        mut connection: Connection,
        key: &Key,
        may_be_old: bool,
        listens: bool,
        deadline: Deadline,
    ) -> Self {
        let steps: &[Step] = match listens {
            true => &[Step::Challenge, Step::Verify, Step::Answer, Step::Hear],
            false => &[Step::Answer, Step::Hear, Step::Challenge, Step::Verify],
        };
        let most = connection.max_len();
        connection.set_max_len(MOST);
        let (key, challenge) = (key.clone(), Vec::new());
        Self { connection, key, may_be_old, steps, challenge, most, deadline }
    }

    /// Goes on as far as it can without waiting; returns whether it is over.
    pub(crate) fn go(&mut self) -> Result<bool, HandshakeError> {
        while let Some((&step, next)) = self.steps.split_first() {
            match self.take(step) {
                Ok(()) => self.steps = next,
                Err(HandshakeError::Connection(ConnectionError::WouldBlock)) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn take(&mut self, step: Step) -> Result<(), HandshakeError> {
        match step {
            Step::Challenge => {
                self.challenge = digest::challenge().map_err(|error| {
                    HandshakeError::Connection(ConnectionError::System(error.into()))
                })?;
                self.say(&[CHALLENGE, &self.challenge].concat())
            }
            Step::Verify => {
                let answer = self.connection.try_recv_bytes()?;
                let right = digest::verify(&self.key, &self.challenge, &answer, self.may_be_old);
                match right {
                    Ok(()) => self.say(WELCOME),
                    Err(error) => {
                        // Told if it still listens.
                        let _ = self.say(FAILURE);
                        Err(error)
                    }
                }
            }
            Step::Answer => {
                let came = self.connection.try_recv_bytes()?;
                if came == FAILURE {
                    return Err(HandshakeError::Rejected);
                }
                let challenge = came.strip_prefix(CHALLENGE).ok_or(HandshakeError::NotSpoken)?;
                self.say(&digest::answer(&self.key, challenge, self.may_be_old)?)
            }
            Step::Hear => match &*self.connection.try_recv_bytes()? {
                WELCOME => Ok(()),
                _ => Err(HandshakeError::Rejected),
            },
        }
    }

    /// Sends what has room in any socket that was just made.
    fn say(&mut self, bytes: &[u8]) -> Result<(), HandshakeError> {
        match self.connection.try_send_bytes(bytes) {
            Ok(()) => Ok(()),
            // It has filled the socket of who does not read: an error, for to wait is for what comes.
            Err(ConnectionError::WouldBlock) => Err(ConnectionError::TimedOut.into()),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// After the last step.
    pub(crate) fn into_connection(mut self) -> Connection {
        self.connection.set_max_len(self.most);
        self.connection
    }
}
