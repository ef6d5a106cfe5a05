//! Ends of pipes that go to another process as an argument.

use std::time::Duration;

use shmkit::{Event, Failure, Frames, New, NewPlain, Pipe, PipeError, Process, task};

const LONG: Duration = Duration::from_secs(20);

#[task]
fn send_on(ticket: Pipe<u64>, first: u64) -> Result<(), Failure> {
    let mut sender = ticket.sender()?;
    for number in first..first + 100 {
        sender.send_timeout(number, LONG).map_err(|e| e.error)?;
    }
    Ok(())
}

#[task]
fn receive_on(ticket: Pipe<u64>, many: u64) -> Result<Vec<u64>, Failure> {
    let mut receiver = ticket.receiver()?;
    Ok((0..many).map(|_| receiver.recv_timeout(LONG)).collect::<Result<_, _>>()?)
}

#[task]
fn sleep(_ticket: Pipe<u64>, ready: Event) -> Result<(), Failure> {
    ready.set()?;
    std::thread::sleep(Duration::from_secs(600));
    Ok(())
}

#[task]
fn send_messages_on(ticket: Frames) -> Result<(), Failure> {
    let mut sender = ticket.sender()?;
    sender.send_timeout(b"there", LONG)?;
    Ok(())
}

#[test]
fn a_sender_goes_to_another_process_in_the_middle_of_a_stream() {
    let pipe = Pipe::<u64>::new(8_u64).unwrap();
    let mut receiver = pipe.receiver().unwrap();
    let mut sender = pipe.sender().unwrap();
    sender.send_all(&[0, 1, 2]).unwrap();
    let process = Process::spawn(send_on, (sender.hand_over().unwrap(), 3)).unwrap();
    let got: Vec<u64> = (0..103).map(|_| receiver.recv_timeout(LONG).unwrap()).collect();
    assert_eq!(got, Vec::from_iter(0..103));
    assert_eq!(receiver.recv_timeout(LONG), Err(PipeError::Closed), "its end is the first one");
    process.join().unwrap().unwrap();
}

#[test]
fn a_receiver_goes_to_another_process_and_loses_nothing() {
    let pipe = Pipe::<u64>::new(8_u64).unwrap();
    let mut sender = pipe.sender().unwrap();
    let mut receiver = pipe.receiver().unwrap();
    sender.send_all(&[0, 1, 2]).unwrap();
    assert_eq!(receiver.recv(), Ok(0));
    let process = Process::spawn(receive_on, (receiver.hand_over().unwrap(), 102)).unwrap();
    for number in 3..103 {
        sender.send_timeout(number, LONG).unwrap();
    }
    assert_eq!(process.join().unwrap().unwrap(), Vec::from_iter(1..103));
}

#[test]
fn what_the_killed_did_not_claim_is_the_next_ones() {
    let pipe = Pipe::<u64>::new(8_u64).unwrap();
    let mut receiver = pipe.receiver().unwrap();
    let mut sender = pipe.sender().unwrap();
    sender.send(0).unwrap();
    let ready = Event::new().unwrap();
    let ticket = sender.hand_over().unwrap();
    let process = Process::spawn(sleep, (ticket.clone(), ready.clone())).unwrap();
    ready.wait_timeout(LONG).unwrap();
    process.kill().unwrap();
    process.join().unwrap_err();
    let mut sender = ticket.sender().unwrap();
    sender.send(1).unwrap();
    assert_eq!([receiver.recv(), receiver.recv()], [Ok(0), Ok(1)]);
}

#[test]
fn an_end_of_messages_goes_as_well() {
    let frames = Frames::new(4096_u64).unwrap();
    let mut receiver = frames.receiver().unwrap();
    let mut sender = frames.sender().unwrap();
    sender.send(b"here").unwrap();
    let process = Process::spawn(send_messages_on, (sender.hand_over().unwrap(),)).unwrap();
    let got = [(); 2].map(|()| receiver.recv_timeout(LONG).unwrap());
    assert_eq!(got, [b"here".to_vec(), b"there".to_vec()]);
    process.join().unwrap().unwrap();
}
