//! Scenes of transactions: whoever is killed, the data are as before one or as after it.

use shmkit_cell::{Transaction, TransactionError, Transactional, TransactionalSpec};
use shmkit_layout::Object;

use super::account::{self, Before};
use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Fault, Scene, Spread};

/// Accounts, each of two words that belong together: what is in it, and the same from the other side.
type Account = [i64; 2];
type Accounts<'a> = Transactional<[Account], Me<'a>>;

const COUNT: usize = 4;
const LOG: u64 = 512;
/// What was in each at the beginning.
const FIRST: i64 = 100;

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let committed =
        "a transaction killed; all of it was done or nothing, and no heir repairs anything";
    let aborted = "a transaction killed as it takes itself back; nothing was done";
    let heir =
        "the heir of a killed transaction killed as it rolls back; all of it was done or nothing";
    vec![
        scene("transaction/commit", committed, 100, None, |accounts| transfer(accounts, Ok(()))),
        scene("transaction/abort", aborted, 100, None, |accounts| {
            match transfer(accounts, Err(TransactionError::Aborted)) {
                Err(TransactionError::Aborted) => Ok(()),
                other => other,
            }
        }),
        scene("transaction/heir", heir, 100, Some(Spread(2100)), |accounts| {
            transfer(accounts, Ok(()))
        }),
    ]
}

/// Moves money from one account to two others, in more steps than it takes: some are changed twice, so that it matters in
/// which order they are put back.
fn transfer(
    accounts: &Accounts<'_>,
    end: Result<(), TransactionError>,
) -> Result<(), TransactionError> {
    accounts.transaction(|accounts| {
        add(accounts, 0, -20)?;
        add(accounts, 1, 10)?;
        add(accounts, 0, -10)?;
        add(accounts, 2, 20)?;
        end
    })
}

fn add(
    accounts: &mut Transaction<'_, [Account]>,
    at: usize,
    n: i64,
) -> Result<(), TransactionError> {
    let [one, other] = accounts.change(|all| &all[at])?;
    *one += n;
    *other -= n;
    Ok(())
}

fn hung(error: TransactionError) -> Fault {
    Fault::hung(error.to_string())
}

/// One is killed in a transaction; one survivor waits for the lock at that moment, another comes later.
fn scene(
    name: &str,
    about: &str,
    floor: u32,
    before: Before,
    does: fn(&Accounts<'_>) -> Result<(), TransactionError>,
) -> Scene {
    Scene::new(name, about, floor, move |stage, point| {
        let arena = Arena::new()?;
        let spec = TransactionalSpec::new([[FIRST, -FIRST]; COUNT], LOG);
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        let made = unsafe { Transactional::<[Account], _>::init(arena.object(), spec, &NOBODY) };
        made.map(drop).map_err(|e| Fault::broken(e.to_string()))?;
        let user = |actor: &Actor<'_>| {
            open(&arena, |accounts| {
                actor.mark();
                does(accounts).map_err(hung)?;
                actor.mark();
                Ok(())
            })
        };
        let survivor = |actor: &Actor<'_>| {
            open(&arena, |accounts| {
                account::begin(actor)?;
                check(accounts)?;
                transfer(accounts, Ok(())).map_err(hung)?;
                check(accounts)?;
                actor.through();
                Ok(())
            })
        };
        let end = |_: &Actor<'_>| open(&arena, check);
        account::play(stage, point, before, (&user, &survivor, &end))
    })
}

fn open(arena: &Arena, then: impl FnOnce(&Accounts<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: the scene made so many accounts here.
    let accounts = unsafe { Accounts::attach(arena.object(), COUNT as u64, &me) };
    then(&accounts.map_err(|e| Fault::broken(e.to_string()))?)
}

/// Looks whether the accounts are as so many whole transfers leave them.
fn check(accounts: &Accounts<'_>) -> Result<(), Fault> {
    let found = accounts.read(<[Account]>::to_vec).map_err(hung)?;
    let transfers = (FIRST - found[0][0]) / 30;
    let expected = [-30, 10, 20, 0].map(|n| FIRST + n * transfers).map(|n| [n, -n]);
    if found == expected && transfers >= 0 {
        return Ok(());
    }
    Err(Fault::torn(format!("the accounts are {found:?}")))
}
