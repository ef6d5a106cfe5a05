//! A kitchen: waiters put orders into one queue, cooks take them and put burgers into another one, from which the waiters serve. A
//! cook is killed over an order, and another one makes that burger.
//!
//! `cargo run -p shmkit --example burgers`

use std::error::Error;
use std::process::{Child, Command};
use std::time::Duration;

use shmkit::{
    Delivery, Objects, Options, PriorityQueue, Queue, QueueError, QueueSpec, Segment, ShmSafe,
};

const WAITERS: u64 = 3;
const COOKS: u64 = 2;
/// Orders of each waiter.
const EACH: u64 = 100;
/// Longer than anybody waits for a burger.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, ShmSafe)]
#[repr(C)]
struct Burger {
    /// For which order.
    order: u64,
    cook: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [role, number, name] = args.as_slice() {
        let (number, segment) = (number.parse()?, Segment::open(name)?);
        return match role.as_str() {
            "waiter" => wait(number, &segment),
            _ => cook(number, &segment),
        };
    }
    let name = format!("example-burgers-{}", std::process::id());
    let segment = Options::new(1 << 16).create(&name)?;
    let orders: Queue<u64> = segment.queue("orders", 8)?;
    let burgers: PriorityQueue<Burger> = segment.priority_queue("burgers", 512)?; // or all could wait for each other
    let served = segment.atomic("served", 0_u64)?;
    let start = |role: &str, number: u64| {
        let number = number.to_string();
        Command::new(std::env::current_exe()?).args([role, &number, &name]).spawn()
    };
    // The last one is about to make a burger when it is killed.
    let mut slow = start("cook", COOKS)?;
    orders.put(0)?;
    while !orders.is_empty()? {
        std::thread::sleep(Duration::from_millis(1));
    }
    slow.kill()?;
    slow.wait()?;

    let mut cooks: Vec<Child> = Vec::new();
    for number in 0..COOKS {
        cooks.push(start("cook", number)?);
    }
    let mut waiters: Vec<Child> = Vec::new();
    for number in 0..WAITERS {
        waiters.push(start("waiter", number)?);
    }
    while served.load() < WAITERS * EACH + 1 {
        if waiters.iter_mut().all(|waiter| waiter.try_wait().is_ok_and(|end| end.is_some())) {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    orders.close()?; // so the cooks go home
    burgers.close()?; // and the waiters
    for mut one in cooks.into_iter().chain(waiters) {
        one.wait()?;
    }
    let redelivered = orders.stats().redelivered;
    println!("{} burgers served, {redelivered} made by another cook", served.load());
    if served.load() == WAITERS * EACH + 1 { Ok(()) } else { Err("somebody is hungry".into()) }
}

fn wait(number: u64, segment: &Segment) -> Result<(), Box<dyn Error>> {
    let orders: Queue<u64> = segment.find("orders")?;
    let burgers: PriorityQueue<Burger> = segment.find("burgers")?;
    let served = segment.atomic("served", 0_u64)?;
    for order in 1..=EACH {
        orders.put(number * EACH + order)?;
        // Whoever ordered first is served first, whatever is ready.
        if burgers.try_get().is_ok() {
            served.fetch_add(1);
        }
    }
    loop {
        match burgers.get_timeout(PATIENCE) {
            Ok(_) => served.fetch_add(1),
            Err(QueueError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
    }
}

fn cook(cook: u64, segment: &Segment) -> Result<(), Box<dyn Error>> {
    let orders: Queue<u64> =
        segment.queue("orders", QueueSpec::new(8).delivery(Delivery::AtLeastOnce))?;
    let burgers: PriorityQueue<Burger> = segment.find("burgers")?;
    loop {
        let order = match orders.take() {
            Ok(order) => order,
            Err(QueueError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if cook == COOKS {
            std::thread::sleep(3 * PATIENCE); // It is killed here.
        }
        let burger = Burger { order: *order, cook };
        burgers.put((burger.order.cast_signed(), burger))?;
        order.done()?;
    }
}
