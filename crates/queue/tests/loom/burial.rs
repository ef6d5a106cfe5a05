//! Items that are given up: among the dead letters once, whoever dies.

use shmkit_atomic::crash::everywhere;

use super::*;

/// A queue of one item that gives up after so many deaths, and its dead letters.
struct Post {
    queue: Arc<Queue>,
    letters: Arc<Queue>,
    tries: Vec<AtomicU64>,
    origins: Vec<AtomicU64>,
    deaths: u32,
}

impl Post {
    fn new(deaths: u32) -> Arc<Self> {
        let words = || vec![AtomicU64::new(0)];
        Arc::new(Self {
            queue: Queue::new(1, Delivery::AtLeastOnce),
            letters: Queue::new(1, Delivery::AtLeastOnce),
            tries: words(),
            origins: words(),
            deaths,
        })
    }

    fn rings(&self) -> [Ring<'_>; 2] {
        let [tries, origins] = [&self.tries, &self.origins].map(|words| Words::of(words));
        self.queue.ring().giving_up(self.deaths, tries, self.letters.ring(), origins)
    }

    fn bury(&self, judge: &ModelJudge, held: Held) {
        let [ring, letters] = self.rings();
        let value = self.queue.item(held.first());
        let copy = |letter: u32| {
            crash::step();
            self.letters.items[letter as usize].store(value, Relaxed);
            true
        };
        let left = ring.bury(judge, &letters, held, copy, crash::step).unwrap();
        // It may find the place of one that was killed on its way there.
        assert!(left.is_none(), "there is room");
    }

    /// Takes all there is to be worked on until the queue is closed; what was given up it buries.
    fn drain(&self, judge: &ModelJudge) -> Vec<u64> {
        let [ring, _] = self.rings();
        let mut got = Vec::new();
        loop {
            match ring.take(judge, 1, Deadline::NEVER) {
                Ok(held) if ring.is_given_up(&held) => self.bury(judge, held),
                Ok(held) => {
                    got.extend(self.queue.read(&held));
                    ring.done(held).unwrap();
                }
                Err(QueueError::Closed) => return got,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Takes what is among the dead letters when nobody is at work any more.
    fn read(&self, judge: &ModelJudge) -> Vec<u64> {
        let [ring, letters] = self.rings();
        while let Some(held) = ring.take_given_up(judge).unwrap() {
            self.bury(judge, held);
        }
        self.letters.raw.close();
        let mut got = Vec::new();
        loop {
            match letters.take(judge, 1, Deadline::NEVER) {
                Ok(held) => {
                    got.extend(self.letters.read(&held));
                    letters.done(held).unwrap();
                }
                Err(QueueError::Closed) => return got,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// One has died with an item, and that is enough; who buries it dies, too, beside another who takes.
#[test]
fn who_dies_while_it_buries_leaves_one_letter() {
    everywhere("bury", 1, |steps, lives| {
        let [dead, mortal, c] = judges();
        let post = Post::new(1);
        post.queue.put(&c, 7).unwrap();
        let _ = post.rings()[0].take(&dead, 1, Deadline::NEVER).unwrap();
        dead.die();
        post.queue.raw.close();
        let taking = {
            let (post, c) = (post.clone(), c.clone());
            thread::spawn(move || post.drain(&c))
        };
        let life = crash::after(steps, || post.drain(&mortal));
        if life.is_err() {
            lives.died();
            mortal.die();
        }
        assert_eq!(taking.join().unwrap(), [], "nobody works on it");
        assert_eq!(post.read(&c), [7]);
    });
}

/// One may die with an item in its hands. Whoever finds that counts it, and both who look do so once.
#[test]
fn a_death_counts_once_whoever_finds_it() {
    everywhere("count a death", 1, |steps, lives| {
        let [dead, mortal, c] = judges();
        let post = Post::new(2);
        post.queue.put(&c, 7).unwrap();
        let _ = post.rings()[0].take(&dead, 1, Deadline::NEVER).unwrap();
        dead.die();
        post.queue.raw.close();
        let worked = StdArc::new(StdMutex::new(false));
        let taking = {
            let (post, c) = (post.clone(), c.clone());
            thread::spawn(move || post.drain(&c))
        };
        let life = crash::after(steps, || {
            let [ring, _] = post.rings();
            if let Ok(held) = ring.take(&mortal, 1, Deadline::NEVER) {
                *worked.lock().unwrap() = true;
                assert!(!ring.is_given_up(&held), "one death is not enough");
                ring.done(held).unwrap();
            }
        });
        let died = life.is_err();
        if died {
            lives.died();
            mortal.die();
        }
        let got = taking.join().unwrap();
        let letters = post.read(&c);
        let worked = *worked.lock().unwrap();
        assert!(got.len() + letters.len() <= 1, "{got:?} and {letters:?}");
        assert!(worked || !got.is_empty() || died, "it is lost");
        assert!(letters.is_empty() || died, "two have to die");
        assert!(worked || got.len() + letters.len() == 1, "it is lost");
    });
}
