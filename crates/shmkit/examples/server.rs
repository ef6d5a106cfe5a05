//! A server that answers one client after the other, over two pipes.
//!
//! `cargo run -p shmkit --example server`
//!
//! Questions go through the one pipe, answers through the other. A client claims the end where it gets its answers first,
//! and then the one where it asks: so whoever is accepted can be answered. A client that has died may have left answers in
//! the pipe. Each says whom it is for, and the next client leaves out what is not for it: no participant is ever called as
//! another was before it.

use std::error::Error;
use std::process::{Child, Command, exit};
use std::time::Duration;

use shmkit::roster::Process;
use shmkit::{
    Judge, Objects, Options, PipeError, Receiver, Segment, Sender, ShareSegment, ShmSafe,
};

/// How long anybody waits for anybody.
const LIMIT: Duration = Duration::from_secs(10);
/// Questions, and answers, that a pipe holds.
const CAPACITY: u64 = 8;

/// The square of a number, and whom it is for.
#[derive(Clone, Copy, Debug, ShmSafe)]
#[repr(C)]
struct Answer {
    /// A participant's id.
    client: u64,
    square: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(role) = std::env::args().nth(1) {
        let segment = Segment::inherited("server")?;
        return match role.as_str() {
            "shy" => Ok(()),
            role => ask(&segment, role == "hasty"),
        };
    }
    let segment = Options::new(1 << 14).anonymous()?;
    let mut questions = segment.pipe::<u64>("questions", CAPACITY)?.receiver()?;
    let mut answers = segment.pipe::<Answer>("answers", CAPACITY)?.sender()?;
    for role in ["hasty", "patient", "shy", "patient"] {
        let mut client = start(&segment, role)?;
        // It may end before it comes, or even joins.
        questions.expect(Process::of_child(&mut client)?);
        match serve(&mut questions, &mut answers) {
            Ok(end) => println!("{role}: {end}"),
            Err(PipeError::ProcessEnded { .. }) => println!("{role}: never came"),
            Err(error) => return Err(error.into()),
        }
        if !client.wait()?.success() {
            return Err(format!("the {role} client failed").into());
        }
    }
    Ok(())
}

fn start(segment: &Segment, role: &str) -> Result<Child, Box<dyn Error>> {
    let mut program = Command::new(std::env::current_exe()?);
    Ok(program.arg(role).share_segment("server", segment)?.spawn()?)
}

/// Answers the next client to its end.
fn serve(questions: &mut Receiver<u64>, answers: &mut Sender<Answer>) -> Result<String, PipeError> {
    let client = questions.accept_timeout(LIMIT)?.peer.get().into();
    for answered in 0.. {
        match questions.recv_timeout(LIMIT) {
            // If it cannot be sent, then because nobody reads it any more: the end of the questions comes next.
            Ok(n) => drop(answers.send_timeout(Answer { client, square: n * n }, LIMIT)),
            Err(PipeError::Closed) => return Ok(format!("{answered} answers, and it closed")),
            Err(PipeError::PeerDied { .. }) => {
                return Ok(format!("{answered} answer, and it was gone"));
            }
            Err(error) => return Err(error),
        }
    }
    unreachable!("there are more numbers than questions")
}

/// Asks three questions, or one without waiting for the answer.
fn ask(segment: &Segment, hastily: bool) -> Result<(), Box<dyn Error>> {
    let me = segment.participant().me().ok_or("not joined")?.get();
    let mut answers = segment.pipe::<Answer>("answers", CAPACITY)?.receiver()?;
    let mut questions = segment.pipe::<u64>("questions", CAPACITY)?.sender()?;
    for n in 3..6 {
        questions.send_timeout(n, LIMIT)?;
        if hastily {
            exit(0);
        }
        let square = loop {
            let answer = answers.recv_timeout(LIMIT)?;
            if answer.client == u64::from(me) {
                break answer.square;
            }
        };
        if square != n * n {
            return Err(format!("the square of {n} is not {square}").into());
        }
    }
    Ok(())
}
