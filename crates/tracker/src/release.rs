//! Releasing what the dead had registered.

use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

use crate::identity::{Thing, mounts};
use crate::kind::{Kind, PathBuffer};
use crate::outcome::Outcome;
use crate::record::{ANNOUNCED, DOOMED, Head, Text, UNIT};
use crate::register::{Register, records};
use crate::scratch::Scratch;
use crate::tree;

/// How to clean up what a program knows by a [name of its own](Kind::Custom).
#[derive(Clone, Copy, Debug)]
pub struct Cleaner {
    /// The kind's name.
    pub kind: &'static str,
    /// What cleans up, given the name. It may be called more than once for one, if who called it was killed.
    pub clean: fn(&[u8]),
}

/// Who hears of what is released.
pub(crate) type Told<'t> = dyn FnMut(Kind<'_>, &[u8], Outcome) + 't;

/// What takes longer than the lock on the register may be held: it is done without.
pub(crate) struct Jobs {
    units: [u32; Self::MOST],
    len: usize,
}

impl Jobs {
    const MOST: usize = 64;

    pub(crate) fn units(&self) -> impl Iterator<Item = usize> + use<> {
        let (units, len) = (self.units, self.len);
        units.into_iter().take(len).map(|unit| unit as usize)
    }

    fn push(&mut self, unit: usize) {
        if let Some(place) = self.units.get_mut(self.len) {
            *place = unit as u32;
            self.len += 1;
        }
    }
}

/// A job that was taken: its record, and what it says.
pub(crate) struct Job {
    pub(crate) unit: usize,
    pub(crate) head: Head,
    pub(crate) text: Text,
}

/// Looks at everything that is registered, and releases what the dead had registered and nobody alive has. Returns what is to
/// be done without the lock.
///
/// Killed at any moment, it leaves the record until the thing is gone: whoever comes next finds it removed, and frees the
/// record. It is under the lock that registering takes, so that nobody registers what is about to be removed.
pub(crate) fn release(
    register: &Register,
    folder: BorrowedFd<'_>,
    told: &mut Told<'_>,
) -> Result<Jobs, Errno> {
    let locked = register.lock()?;
    let units = locked.units()?;
    let mut jobs = Jobs { units: [0; _], len: 0 };
    let living = Living::among(register, &units)?;
    let mut is_changed = units.is_empty();
    let here = mounts();
    for (at, head) in records(&units) {
        if !living.is_dead(at) {
            continue;
        }
        let text = Text::of(&head, &units[at..at + head.span(units.len() - at)]);
        let Some(kind) = text.kind(&head) else { continue };
        if living.has(&units, &head, &text) {
            locked.free(at)?;
            is_changed = true;
            continue;
        }
        if matches!(kind, Kind::Directory | Kind::Command | Kind::Custom(_)) {
            jobs.push(at);
            continue;
        }
        if let Some(done) = remove_file(folder, kind, &head, &text, here) {
            locked.free(at)?;
            is_changed = true;
            told(kind, text.name(), done);
        }
    }
    if is_changed {
        locked.settle()?;
    }
    Ok(jobs)
}

/// Takes a job, so that nobody registers meanwhile what is about to be removed; `None` if it is none any more.
pub(crate) fn take(register: &Register, unit: usize) -> Result<Option<Job>, Errno> {
    take_if(register, unit, |_| true)
}

fn take_if(
    register: &Register,
    unit: usize,
    is_wanted: impl Fn(Kind<'_>) -> bool,
) -> Result<Option<Job>, Errno> {
    let locked = register.lock()?;
    let units = locked.units()?;
    let Some((at, mut head)) = records(&units).find(|&(at, _)| at == unit) else { return Ok(None) };
    let text = Text::of(&head, &units[at..at + head.span(units.len() - at)]);
    if !text.kind(&head).is_some_and(is_wanted)
        || !register.is_dead(head.owner)
        || Living::among(register, &units)?.has(&units, &head, &text)
    {
        return Ok(None);
    }
    head.state |= DOOMED;
    locked.change(at, &head)?;
    Ok(Some(Job { unit, head, text }))
}

/// Frees the record of a job that is done.
pub(crate) fn finish(register: &Register, job: &Job) -> Result<(), Errno> {
    let locked = register.lock()?;
    let units = locked.units()?;
    if records(&units).any(|(at, head)| at == job.unit && head == job.head) {
        locked.free(job.unit)?;
        locked.settle()?;
    }
    Ok(())
}

/// Removes the folder of a job; `None` if it cannot be seen from here.
pub(crate) fn remove_folder(folder: BorrowedFd<'_>, job: &Job) -> Option<Outcome> {
    let path = PathBuffer::of(Kind::Directory, job.text.name())?;
    let thing = match find(folder, &path, &job.head, mounts()) {
        Ok(thing) => thing,
        Err(done) => return done,
    };
    if !thing.is_folder() {
        return Some(Outcome::Replaced);
    }
    Some(match tree::remove(folder, path.c_str(), |found| found.identity == thing.identity) {
        Ok(true) => Outcome::Done,
        Ok(false) => Outcome::Gone,
        Err(errno) => Outcome::Failed(errno as i32),
    })
}

/// Unlinks a file; `None` if it cannot be seen from here.
fn remove_file(
    folder: BorrowedFd<'_>,
    kind: Kind<'_>,
    head: &Head,
    text: &Text,
    here: u64,
) -> Option<Outcome> {
    let path = PathBuffer::of(kind, text.name())?;
    match find(folder, &path, head, here) {
        Err(done) => return done,
        Ok(thing) if thing.is_folder() => return Some(Outcome::Replaced),
        Ok(_) => {}
    }
    Some(match unlinkat(folder, path.c_str(), UnlinkatFlags::NoRemoveDir) {
        Ok(()) => Outcome::Done,
        Err(Errno::ENOENT) => Outcome::Gone,
        Err(errno) => Outcome::Failed(errno as i32),
    })
}

/// Finds what is to be removed; if not, what became of it: nothing yet, if this process sees other file systems than who
/// registered it.
fn find(
    folder: BorrowedFd<'_>,
    path: &PathBuffer,
    head: &Head,
    here: u64,
) -> Result<Thing, Option<Outcome>> {
    let is_elsewhere = head.mounts != 0 && head.mounts != here;
    let thing = match Thing::at(folder, path.c_str()) {
        Ok(thing) => thing,
        Err(_) if is_elsewhere => return Err(None),
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Err(Some(Outcome::Gone)),
        Err(errno) => return Err(Some(Outcome::Failed(errno as i32))),
    };
    let is_it = match head.state & ANNOUNCED != 0 {
        // Made by who had announced it, as far as anybody can tell: nobody else has registered it.
        true => {
            !is_elsewhere && thing.identity.born >= head.since && thing.owner == geteuid().as_raw()
        }
        false => thing.identity == head.identity,
    };
    match is_it {
        true => Ok(thing),
        false if is_elsewhere => Err(None),
        false => Err(Some(Outcome::Replaced)),
    }
}

/// Who of those that have registered something lives, and what they have registered.
struct Living {
    /// For each unit: 1 if a record of a dead one begins there.
    dead: Scratch<u32>,
    /// By hash: the first record of a living one in the list, and one more; 0: none.
    first: Scratch<u32>,
    /// For each unit: the next one in its list, and one more.
    next: Scratch<u32>,
}

impl Living {
    /// Owners whose answer is kept.
    const KEPT: usize = 256;

    fn among(register: &Register, units: &[[u8; UNIT]]) -> Result<Self, Errno> {
        let lists = units.len().next_power_of_two();
        let mut living = Self {
            dead: Scratch::new(units.len())?,
            first: Scratch::new(lists)?,
            next: Scratch::new(units.len())?,
        };
        let mut known = [(0_u32, false); Self::KEPT];
        for (at, head) in records(units) {
            let kept = &mut known[head.owner as usize % Self::KEPT];
            if kept.0 != head.owner {
                *kept = (head.owner, register.is_dead(head.owner));
            }
            if kept.1 {
                living.dead[at] = 1;
            } else {
                let list = head.hash as usize & (lists - 1);
                living.next[at] = living.first[list];
                living.first[list] = at as u32 + 1;
            }
        }
        Ok(living)
    }

    fn is_dead(&self, at: usize) -> bool {
        self.dead[at] != 0
    }

    /// Whether a living one has registered the same.
    fn has(&self, units: &[[u8; UNIT]], head: &Head, text: &Text) -> bool {
        let mut next = self.first[head.hash as usize & (self.first.len() - 1)];
        while next != 0 {
            let at = next as usize - 1;
            let other = Head::parse(&units[at]);
            if is_same(&other, head)
                && Text::of(&other, &units[at..at + other.span(units.len() - at)]).is_same(text)
            {
                return true;
            }
            next = self.next[at];
        }
        false
    }
}

/// Whether two records may be of the same name, before their texts are compared. A path in another mount namespace is
/// another one.
pub(crate) fn is_same(one: &Head, other: &Head) -> bool {
    (one.hash, one.kind, one.mounts) == (other.hash, other.kind, other.mounts)
}

impl Text {
    /// Whether it is the same kind and name.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.custom() == other.custom() && self.name() == other.name()
    }
}

/// Shows what [`release`] would release.
pub(crate) fn survey(
    register: &Register,
    show: &mut dyn FnMut(Kind<'_>, &[u8]),
) -> Result<(), Errno> {
    let locked = register.lock()?;
    let units = locked.units()?;
    let living = Living::among(register, &units)?;
    for (at, head) in records(&units).filter(|&(at, _)| living.is_dead(at)) {
        let text = Text::of(&head, &units[at..at + head.span(units.len() - at)]);
        if let Some(kind) = text.kind(&head).filter(|_| !living.has(&units, &head, &text)) {
            show(kind, text.name());
        }
    }
    Ok(())
}

/// Releases what takes no program: for who passes by.
pub(crate) fn visit(register: &Register, folder: BorrowedFd<'_>) -> Result<(), Errno> {
    for unit in release(register, folder, &mut |_, _, _| ())?.units() {
        let Some(job) = take_if(register, unit, |kind| kind == Kind::Directory)? else { continue };
        if remove_folder(folder, &job).is_some() {
            finish(register, &job)?;
        }
    }
    Ok(())
}

/// Releases all that this process can, one after the other, and waits for the commands.
pub(crate) fn run_all(
    register: &Register,
    folder: BorrowedFd<'_>,
    cleaners: &[Cleaner],
    told: &mut Told<'_>,
) -> Result<(), Errno> {
    loop {
        let mut is_done = true;
        for unit in release(register, folder, told)?.units() {
            let Some(job) = take(register, unit)? else { continue };
            let Some(kind) = job.text.kind(&job.head) else { continue };
            let released = match kind {
                Kind::Directory => remove_folder(folder, &job),
                Kind::Command => Some(crate::command::run(job.text.name())),
                kind => clean(kind, job.text.name(), cleaners),
            };
            if let Some(released) = released {
                finish(register, &job)?;
                told(kind, job.text.name(), released);
                // There may be more than there is room for among jobs.
                is_done = false;
            }
        }
        if is_done {
            return Ok(());
        }
    }
}

/// Has a cleaner do it, if there is one for this kind.
pub(crate) fn clean(kind: Kind<'_>, name: &[u8], cleaners: &[Cleaner]) -> Option<Outcome> {
    let Kind::Custom(kind) = kind else { return None };
    let cleaner = cleaners.iter().find(|cleaner| cleaner.kind == kind)?;
    (cleaner.clean)(name);
    Some(Outcome::Done)
}
