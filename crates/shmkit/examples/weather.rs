//! A weather station: one process measures, others read without a lock, and a spare one stands by to measure.
//!
//! The station is killed in the middle of a measurement. Readers keep the last whole one, and the spare one goes on.
//!
//! `cargo run -p shmkit --example weather`

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use shmkit::{Objects, Options, Segment, ShareSegment, ShmSafe, Snapshot};

/// What belongs together: half a measurement is none.
#[derive(Clone, Copy, Debug, ShmSafe)]
#[repr(C)]
struct Weather {
    /// Number of the measurement.
    number: u64,
    /// In kelvin: 200 plus the number, so that a reader can tell whether both are of one measurement.
    kelvin: f64,
}

const MEASUREMENTS: u64 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(role) = std::env::args().nth(1) {
        let segment = Segment::inherited("weather")?;
        let weather = segment.snapshot("weather", start_value())?;
        return match role.as_str() {
            "read" => read(&weather),
            role => measure(&weather, role == "spare"),
        };
    }
    let segment = Options::new(1 << 16).anonymous()?;
    let weather = segment.snapshot("weather", start_value())?;
    let mut readers = [start(&segment, "read")?, start(&segment, "read")?];
    let mut station = start(&segment, "station")?;
    wait_for_line(&mut station)?; // it has measured something
    let mut spare = start(&segment, "spare")?;
    wait_for_line(&mut spare)?; // it stands by

    // It is in the middle of a measurement, and stays there.
    station.kill()?;
    station.wait()?;
    println!("the station was killed after measurement {}", weather.load()?.number);

    for child in readers.iter_mut().chain([&mut spare]) {
        let ended = child.wait()?;
        if !ended.success() {
            return Err(format!("a child failed: {ended}").into());
        }
    }
    println!("the spare one went on to {}, and readers saw whole measurements", weather.version());
    Ok(())
}

fn start_value() -> Weather {
    Weather { number: 0, kelvin: 200.0 }
}

/// Waits for each change, and looks at it, until the last one.
fn read(weather: &Snapshot<Weather>) -> Result<(), Box<dyn Error>> {
    let mut seen = 0;
    while seen < MEASUREMENTS {
        seen = weather.wait_changed(seen)?;
        let now = weather.load()?;
        assert!(now.number >= seen, "an old measurement");
        assert_eq!(now.kelvin, 200.0 + now.number as f64, "half a measurement");
    }
    Ok(())
}

/// Measures: the station until it is killed in the middle of its tenth measurement, the spare one from there on.
fn measure(weather: &Snapshot<Weather>, spare: bool) -> Result<(), Box<dyn Error>> {
    if spare {
        println!("standing by");
    }
    let mut writer = weather.writer()?; // once no other one lives
    while writer.version() < MEASUREMENTS {
        let next = writer.version() + 1;
        writer.update(|weather| {
            weather.number = next;
            if !spare && next == 10 {
                println!("measuring");
                std::thread::sleep(std::time::Duration::from_secs(20));
            }
            weather.kelvin = 200.0 + next as f64;
        })?;
    }
    Ok(())
}

fn start(segment: &Segment, role: &str) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role).stdout(Stdio::piped());
    Ok(command.share_segment("weather", segment)?.spawn()?)
}

fn wait_for_line(child: &mut Child) -> Result<(), Box<dyn Error>> {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().ok_or("no stdout")?).read_line(&mut line)?;
    if line.is_empty() { Err("a child ended early".into()) } else { Ok(()) }
}
