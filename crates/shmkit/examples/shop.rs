//! A shop: its till, its shelf and its orders are things of their own, and a sale changes all of them or none, though one of
//! those who sell is killed in the middle.
//!
//! Where a `Transactional` is one value (see the example `bank`), a `TransactionalSet` has members, each made when
//! somebody first needs it.
//!
//! `cargo run -p shmkit --example shop`

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use shmkit::{
    MapMember, Member, Objects, Options, Segment, SetTransaction, ShareSegment, TransactionError,
    TransactionalSet, TransactionalSetSpec,
};

/// Bytes of all members, and of the log of one sale.
const SPEC: TransactionalSetSpec = TransactionalSetSpec::new(32 << 10, 1024);
const SELLERS: u64 = 3;
const SALES: u64 = 100;
const PRICE: u64 = 7;

/// How the shop's things are come to.
struct Shop {
    /// What was taken.
    till: Member<u64>,
    /// How many there are of each article.
    shelf: Member<[u32]>,
    /// Which article each order is of.
    orders: MapMember<u64, u32>,
}

impl Shop {
    /// Finds them, or makes them.
    fn of(set: &TransactionalSet) -> Result<Self, TransactionError> {
        set.transaction(|set| {
            Ok(Self {
                till: set.member("till", 0)?,
                shelf: set.member("shelf", [100; 5].into())?,
                orders: set.map("orders", 500)?,
            })
        })
    }

    /// Sells one of an article: `between` what is taken from the shelf and what is put into the till.
    fn sell(
        &self,
        set: &mut SetTransaction<'_>,
        (order, article): (u64, u32),
        between: impl FnOnce(),
    ) -> Result<(), TransactionError> {
        let left = set.change(&self.shelf, |shelf| &shelf[article as usize])?;
        *left = left.checked_sub(1).ok_or(TransactionError::Aborted)?;
        set.insert(&self.orders, &order, &article)?;
        between();
        *set.change(&self.till, |till| till)? += PRICE;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(role) = std::env::args().nth(1) {
        let set = Segment::inherited("shop")?.transactional_set("shop", SPEC)?;
        return match role.parse() {
            Ok(seller) => Ok(work(&set, seller)?),
            Err(_) => Ok(stop_half_way(&set)?),
        };
    }
    let segment = Options::new(1 << 17).anonymous()?;
    let set = segment.transactional_set("shop", SPEC)?;
    let shop = Shop::of(&set)?;

    let mut seller = start(&segment, "half-way")?;
    let mut line = String::new();
    BufReader::new(seller.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
    seller.kill()?;
    seller.wait()?;
    println!("a seller was killed, who had {}", line.trim_end());

    let sellers: Result<Vec<_>, _> =
        (0..SELLERS).map(|seller| start(&segment, &seller.to_string())).collect();
    for mut seller in sellers? {
        let ended = seller.wait()?;
        if !ended.success() {
            return Err(format!("a seller failed: {ended}").into());
        }
    }
    let (till, left, orders) = set.read(|set| {
        let left = set.get(&shop.shelf)?.iter().sum::<u32>();
        Ok((*set.get(&shop.till)?, left, set.len_of(&shop.orders)?))
    })?;
    println!("{orders} orders, {till} in the till, {left} left on the shelf");
    Ok(())
}

fn work(set: &TransactionalSet, seller: u64) -> Result<(), TransactionError> {
    let shop = Shop::of(set)?;
    for n in 0..SALES {
        let order = n * SELLERS + seller;
        set.transaction(|set| shop.sell(set, (order, (order % 5) as u32), || ()))?;
    }
    Ok(())
}

fn stop_half_way(set: &TransactionalSet) -> Result<(), TransactionError> {
    let shop = Shop::of(set)?;
    set.transaction(|set| {
        shop.sell(set, (u64::MAX, 0), || {
            println!("taken one from the shelf, and no money");
            std::thread::sleep(std::time::Duration::from_secs(20));
        })
    })
}

fn start(segment: &Segment, role: &str) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role).stdout(Stdio::piped());
    Ok(command.share_segment("shop", segment)?.spawn()?)
}
