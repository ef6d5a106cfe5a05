//! Who takes part in a segment that others observe.

use std::path::Path;

use shmkit::{Objects, Value};
use shmkit_segment::{OpenOptions, Options};

use crate::Channel;

pub(crate) fn run(script: &str, args: &[String], channel: &mut Channel) {
    assert_eq!(script, "hold", "no such script");
    let directory = Path::new(&args[0]);
    let segment = match args.get(1) {
        None => OpenOptions::new().directory(directory).open("it").expect("open"),
        Some(_) => Options::new(4096).directory(directory).create("it").expect("create"),
    };
    let value: Value<[u64; 8]> = segment.value("wide", [1; 8]).expect("make");
    channel.say("ready");
    if args.get(1).is_some_and(|does| does == "write") {
        for n in 1.. {
            value.set([n; 8]).expect("set");
        }
    }
    // Until it is killed, or its test ends.
    let _ = channel.try_hear(std::time::Duration::from_secs(60));
}
