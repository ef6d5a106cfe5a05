//! A ring whose sender moves the tail before the item is there.

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_layout::Offset;
use shmkit_roster::{OwnerId, Verdict, ask};

use crate::scenes::ring::{Item, Kind, begin, item, number};
use crate::{Arena, Fault};

/// Words before the first item: the sender's id, the tail.
const HEAD: usize = 2;
/// Items, of which none is ever overwritten here.
const ITEMS: usize = 8;

pub(crate) const EARLY_TAIL: Kind = Kind {
    name: "early-tail",
    floor: 20,
    make: |_| Ok(()),
    send: |arena, actor| {
        let me = arena.join()?;
        let words = words(arena)?;
        let id = me.id().ok_or_else(|| Fault::broken("joined and nobody"))?;
        // Release: pairs with the Acquire in `receive`.
        words[0].store(u64::from(id.get()), Release);
        actor.mark();
        for number in 1..ITEMS as u64 {
            // The mistake: this belongs after the item. Release: pairs with the Acquire in `receive`.
            words[1].store(number, Release);
            for (word, value) in place(words, number).iter().zip(item(number)) {
                word.store(value, Relaxed);
            }
        }
        actor.mark();
        Ok(())
    },
    receive: |arena, actor| {
        let me = arena.join()?;
        let words = words(arena)?;
        begin(actor)?;
        let my_id = me.id().ok_or_else(|| Fault::broken("joined and nobody"))?;
        let mut count = 0;
        loop {
            // Acquire: pairs with the Release in `send`.
            let sender = OwnerId::from_word(words[0].load(Acquire) as u32);
            let dead = sender.is_some_and(|sender| ask(&me, my_id, sender) == Verdict::Dead);
            // Acquire: as above.
            let tail = words[1].load(Acquire);
            while count < tail {
                count += 1;
                let found: Item = std::array::from_fn(|i| place(words, count)[i].load(Relaxed));
                number(found)?;
            }
            if dead {
                // However many: this ring has no batches.
                return Ok(0);
            }
            std::thread::yield_now();
        }
    },
};

fn words(arena: &Arena) -> Result<&[AtomicU64], Fault> {
    let words = arena.object().slice(Offset::ZERO, HEAD + ITEMS * size_of::<Item>() / 8);
    words.map_err(|e| Fault::broken(e.to_string()))
}

fn place(words: &[AtomicU64], number: u64) -> &[AtomicU64] {
    let words_each = size_of::<Item>() / 8;
    let at = HEAD + number as usize % ITEMS * words_each;
    &words[at..at + words_each]
}
