//! Messages from one process to another, beside `ipc-channel`, which copies them through sockets, and `iceoryx2`, which hands on
//! where they lie and leaves it to its user how to wait: here by looking again.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Result, anyhow, ensure};
use iceoryx2::port::backpressure_strategy::BackpressureStrategy;
use iceoryx2::prelude::{PortFactory as _, *};
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;
use ipc_channel::ipc;
use shmkit::{Objects, Options};
use shmkit_benches::{Candidate, Group, time_processes};

/// Messages that are not measured.
const LAP: u32 = 16;

pub(crate) fn groups() -> Vec<Group<'static>> {
    vec![
        Group::new("messages of 64 bytes", 1 << 16, ours(64, 64 << 10))
            .against(ipc_channel(64))
            .against(iceoryx2(64, 1024)),
        Group::new("messages of 4 KiB", 1 << 14, ours(4 << 10, 256 << 10))
            .against(ipc_channel(4 << 10))
            .against(iceoryx2(4 << 10, 64)),
        // "The best peer": both are asked, the better one counts.
        Group::new("messages of 1 MiB", 200, ours(1 << 20, 256 << 10))
            .at_most(0.5, ipc_channel(1 << 20))
            .at_most(0.5, iceoryx2(1 << 20, 2)),
    ]
}

/// What came, and how long it is.
fn look(message: &[u8], len: usize) -> Result<()> {
    ensure!(message.len() == len && message[len - 1] == 7, "another message came");
    Ok(())
}

/// Through a pipe that has room for so many bytes.
fn ours(len: usize, room: u64) -> Candidate<'static> {
    Candidate::new("shmkit Frames", move |n| {
        let segment = Options::new(1 << 20).anonymous()?;
        let frames = segment.frames("forth", room)?;
        time_processes(
            |start| {
                segment.join_after_fork()?;
                let (mut sender, message) = (frames.sender()?, vec![7; len]);
                (0..LAP).try_for_each(|_| sender.send(&message))?;
                start.together();
                Ok((0..n).try_for_each(|_| sender.send(&message))?)
            },
            |start| {
                let (mut receiver, mut buffer) = (frames.receiver()?, vec![0; len]);
                let mut recv = || {
                    let came = receiver.recv_into(&mut buffer)?;
                    look(&buffer[..came], len)
                };
                (0..LAP).try_for_each(|_| recv())?;
                start.together();
                (0..n).try_for_each(|_| recv())
            },
        )
    })
}

fn ipc_channel(len: usize) -> Candidate<'static> {
    Candidate::new("ipc-channel", move |n| {
        let (sender, receiver) = ipc::bytes_channel()?;
        time_processes(
            |start| {
                let message = vec![7; len];
                (0..LAP).try_for_each(|_| sender.send(&message))?;
                start.together();
                Ok((0..n).try_for_each(|_| sender.send(&message))?)
            },
            |start| {
                let recv = || look(&receiver.recv().map_err(|error| anyhow!("{error:?}"))?, len);
                (0..LAP).try_for_each(|_| recv())?;
                start.together();
                (0..n).try_for_each(|_| recv())
            },
        )
    })
}

/// With so many places, and copied in and out as by the others.
fn iceoryx2(len: usize, places: usize) -> Candidate<'static> {
    static SAMPLE: AtomicU32 = AtomicU32::new(0);
    Candidate::new("iceoryx2", move |n| {
        let name = format!("versus/{}/{}", std::process::id(), SAMPLE.fetch_add(1, Relaxed));
        time_processes(
            |start| {
                let service = service(&name, places)?;
                let publisher = service
                    .publisher_builder()
                    .initial_max_slice_len(len)
                    .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
                    .create()
                    .map_err(failed)?;
                let message = vec![7; len];
                let send = || -> Result<()> {
                    let place = publisher.loan_slice_uninit(len).map_err(failed)?;
                    let told = place.write_from_slice(&message).send().map_err(failed)?;
                    ensure!(told == 1, "a message was sent to {told} subscribers");
                    Ok(())
                };
                while service.dynamic_config().number_of_subscribers() == 0 {
                    std::thread::yield_now();
                }
                (0..LAP).try_for_each(|_| send())?;
                start.together();
                (0..n).try_for_each(|_| send())?;
                // What is on its way goes with who has sent it.
                while service.dynamic_config().number_of_subscribers() > 0 {
                    std::thread::yield_now();
                }
                Ok(())
            },
            |start| {
                let service = service(&name, places)?;
                let subscriber = service.subscriber_builder().create().map_err(failed)?;
                let mut buffer = vec![0; len];
                let mut recv = || -> Result<()> {
                    loop {
                        if let Some(message) = subscriber.receive().map_err(failed)? {
                            buffer.copy_from_slice(message.payload());
                            return look(&buffer, len);
                        }
                        std::thread::yield_now();
                    }
                };
                (0..LAP).try_for_each(|_| recv())?;
                start.together();
                (0..n).try_for_each(|_| recv())
            },
        )
    })
}

fn service(name: &str, places: usize) -> Result<PortFactory<ipc_threadsafe::Service, [u8], ()>> {
    let node = NodeBuilder::new().create::<ipc_threadsafe::Service>().map_err(failed)?;
    node.service_builder(&name.try_into().map_err(failed)?)
        .publish_subscribe::<[u8]>()
        .enable_safe_overflow(false)
        .subscriber_max_buffer_size(places)
        .history_size(0)
        .open_or_create()
        .map_err(failed)
}

fn failed(error: impl std::fmt::Debug) -> anyhow::Error {
    anyhow!("iceoryx2: {error:?}")
}
