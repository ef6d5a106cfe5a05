//! Groups of candidates, their rounds and the figures that come of them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::limit::limited;
use crate::machine::cache_line_round_trip;

/// How to measure.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Rounds of every group.
    pub rounds: u32,
    /// Seed of the shuffling.
    pub seed: u64,
}

/// One candidate's share of a round.
#[derive(Clone, Debug)]
pub struct Sample {
    /// How long the work took.
    pub took: Duration,
    /// What else there is to say of it, by name: the same names in every sample of a group.
    pub facts: Vec<(&'static str, f64)>,
}

impl From<Duration> for Sample {
    fn from(took: Duration) -> Self {
        Self { took, facts: Vec::new() }
    }
}

/// One way of doing a group's work.
pub struct Candidate<'a> {
    name: &'static str,
    /// Does the work `n` times and says how long that took.
    run: Box<dyn FnMut(u32) -> Result<Sample> + 'a>,
}

impl<'a> Candidate<'a> {
    /// Names a way of doing the work.
    pub fn new<S: Into<Sample>>(
        name: &'static str,
        mut run: impl FnMut(u32) -> Result<S> + 'a,
    ) -> Self {
        Self { name, run: Box::new(move |n| run(n).map(Into::into)) }
    }

    /// The same work, done within `around`, which runs what it is given.
    pub fn within(
        self,
        mut around: impl FnMut(&mut dyn FnMut() -> Result<Sample>) -> Result<Sample> + 'a,
    ) -> Self {
        let Self { name, mut run } = self;
        Self { name, run: Box::new(move |n| around(&mut || run(n))) }
    }
}

impl std::fmt::Debug for Candidate<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidate").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A piece of work and the candidates that do it; the first is ours.
#[derive(Debug)]
pub struct Group<'a> {
    name: &'static str,
    /// How often the work is done in one sample.
    per_sample: u32,
    candidates: Vec<Candidate<'a>>,
    /// Peers that we promised a ratio against, with the most it may be.
    limits: Vec<(&'static str, f64)>,
    /// What we promised of our own facts.
    fact_limits: Vec<(&'static str, FactLimit)>,
}

/// What we promised of one of our facts.
#[derive(Clone, Copy, Debug)]
enum FactLimit {
    /// Ours is at least this.
    AtLeast(f64),
    /// Ours is at most this.
    AtMost(f64),
    /// Ours is at most so many times each peer's.
    Times(f64),
}

impl<'a> Group<'a> {
    /// Makes a group around our candidate.
    pub fn new(name: &'static str, per_sample: u32, ours: Candidate<'a>) -> Self {
        Self {
            name,
            per_sample,
            candidates: vec![ours],
            limits: Vec::new(),
            fact_limits: Vec::new(),
        }
    }

    /// Adds a peer.
    pub fn against(mut self, peer: Candidate<'a>) -> Self {
        self.candidates.push(peer);
        self
    }

    /// Adds a peer that we take at most `limit` times as long as.
    pub fn at_most(mut self, limit: f64, peer: Candidate<'a>) -> Self {
        self.limits.push((peer.name, limit));
        self.against(peer)
    }

    /// Promises that a fact of ours is at least `limit`.
    pub fn fact_at_least(mut self, fact: &'static str, limit: f64) -> Self {
        self.fact_limits.push((fact, FactLimit::AtLeast(limit)));
        self
    }

    /// Promises that a fact of ours is at most `limit`.
    pub fn fact_at_most(mut self, fact: &'static str, limit: f64) -> Self {
        self.fact_limits.push((fact, FactLimit::AtMost(limit)));
        self
    }

    /// Promises that a fact of ours is at most `limit` times each peer's.
    pub fn fact_at_most_times(mut self, fact: &'static str, limit: f64) -> Self {
        self.fact_limits.push((fact, FactLimit::Times(limit)));
        self
    }

    /// Returns the group's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs all rounds.
    ///
    /// # Errors
    ///
    /// If a candidate cannot do the work.
    pub fn measure(mut self, settings: Settings, progress: &ProgressBar) -> Result<Outcome> {
        ensure!(settings.rounds > 0, "no rounds: ask for at least one");
        let mut random = fastrand::Rng::with_seed(settings.seed);
        let mut samples: Vec<Vec<f64>> = vec![Vec::new(); self.candidates.len()];
        let mut facts: Vec<Vec<Vec<(&'static str, f64)>>> = vec![Vec::new(); self.candidates.len()];
        let mut lines = Vec::new();
        let mut order: Vec<usize> = (0..self.candidates.len()).collect();
        // The first round warms everything up and does not count.
        for round in 0..=settings.rounds {
            progress.set_message(self.name);
            random.shuffle(&mut order);
            if round > 0 {
                lines.push(cache_line_round_trip()?);
            }
            for &i in &order {
                let candidate = &mut self.candidates[i];
                let sample = limited(|| (candidate.run)(self.per_sample))
                    .with_context(|| format!("{}: {}", self.name, candidate.name))?;
                if round > 0 {
                    samples[i].push(sample.took.as_nanos() as f64 / f64::from(self.per_sample));
                    facts[i].push(sample.facts);
                }
            }
            progress.inc(u64::from(round > 0));
        }
        let ours = samples[0].clone();
        let peers = self.candidates.iter().zip(&samples).skip(1);
        let ratios = peers.map(|(candidate, theirs)| {
            let ratio: Vec<f64> =
                ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
            let limit = self.limits.iter().find(|(name, _)| *name == candidate.name).map(|l| l.1);
            let ratio = Quartiles::of(&ratio);
            Ratio {
                peer: candidate.name,
                nanos: Quartiles::of(theirs),
                ratio,
                limit,
                kept: limit.map(|limit| ratio.median <= limit),
            }
        });
        Ok(Outcome {
            group: self.name,
            ours: self.candidates[0].name,
            nanos: Quartiles::of(&ours),
            ratios: ratios.collect(),
            facts: self.facts(&facts),
            cache_line: Quartiles::of(&lines),
        })
    }

    /// Compares what else there was to say, fact by fact and peer by peer.
    fn facts(&self, samples: &[Vec<Vec<(&'static str, f64)>>]) -> Vec<Fact> {
        let names: Vec<&'static str> = samples[0][0].iter().map(|(name, _)| *name).collect();
        let of = |candidate: usize, name: &str| -> Vec<f64> {
            let find = |facts: &Vec<(&'static str, f64)>| {
                facts.iter().find(|(n, _)| *n == name).map(|(_, figure)| *figure)
            };
            samples[candidate].iter().filter_map(find).collect()
        };
        let mut all = Vec::new();
        for name in names {
            let ours = of(0, name);
            let limit = self.fact_limits.iter().find(|(n, _)| *n == name).map(|(_, limit)| *limit);
            let own = Quartiles::of(&ours);
            let others = self.candidates.iter().enumerate().skip(1);
            let mut peers: Vec<_> = others
                .map(|(i, candidate)| (candidate.name, of(i, name)))
                .filter(|(_, theirs)| !theirs.is_empty())
                .collect();
            if peers.is_empty() {
                // It is ours alone, and may have a limit nevertheless.
                peers.push(("", Vec::new()));
            }
            for (peer, theirs) in peers {
                let ratio: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| a / b).collect();
                let of_some =
                    |figures: &[f64]| (!figures.is_empty()).then(|| Quartiles::of(figures));
                let ratio = of_some(&ratio);
                all.push(Fact {
                    fact: name,
                    ours: own,
                    peer,
                    theirs: of_some(&theirs),
                    ratio,
                    limit: limit.map(|limit| match limit {
                        FactLimit::AtLeast(least) => format!("at least {least}"),
                        FactLimit::AtMost(most) => format!("at most {most}"),
                        FactLimit::Times(most) => format!("at most {most} times"),
                    }),
                    kept: limit.map(|limit| match limit {
                        FactLimit::AtLeast(least) => own.median >= least,
                        FactLimit::AtMost(most) => own.median <= most,
                        FactLimit::Times(most) => ratio.is_some_and(|ratio| ratio.median <= most),
                    }),
                });
            }
        }
        all
    }
}

/// The middle of some figures, and how far the middle half of them spreads.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Quartiles {
    /// A quarter lies below.
    pub lower: f64,
    /// Half lies below.
    pub median: f64,
    /// Three quarters lie below.
    pub upper: f64,
}

impl Quartiles {
    fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part).round() as usize];
        Self { lower: at(0.25), median: at(0.5), upper: at(0.75) }
    }

    /// Returns the spread of the middle half as a part of the median.
    pub fn spread(&self) -> f64 {
        (self.upper - self.lower) / self.median
    }
}

/// What came of a group.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// What was done.
    pub group: &'static str,
    /// Our candidate.
    pub ours: &'static str,
    /// Nanoseconds each of ours took.
    pub nanos: Quartiles,
    /// Ours against every peer.
    pub ratios: Vec<Ratio>,
    /// What else there is to say.
    pub facts: Vec<Fact>,
    /// Nanoseconds of a cache line's round trip between two cores, probed before each round.
    pub cache_line: Quartiles,
}

/// Ours against one peer.
#[derive(Clone, Debug, Serialize)]
pub struct Ratio {
    /// The peer.
    pub peer: &'static str,
    /// Nanoseconds each of theirs took.
    pub nanos: Quartiles,
    /// Our time as a multiple of theirs, round by round; below 1 is faster.
    pub ratio: Quartiles,
    /// The most we allow ourselves.
    pub limit: Option<f64>,
    /// Whether the median keeps to it.
    pub kept: Option<bool>,
}

/// Something else than time, ours against one peer.
#[derive(Clone, Debug, Serialize)]
pub struct Fact {
    /// What it is, with its unit.
    pub fact: &'static str,
    /// Ours.
    pub ours: Quartiles,
    /// The peer; empty if there is no peer with this figure.
    pub peer: &'static str,
    /// Theirs.
    pub theirs: Option<Quartiles>,
    /// Ours as a multiple of theirs, round by round.
    pub ratio: Option<Quartiles>,
    /// What we promised.
    pub limit: Option<String>,
    /// Whether the median keeps to it.
    pub kept: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_the_middle_half() {
        let q = Quartiles::of(&[5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!((q.lower, q.median, q.upper), (2.0, 3.0, 4.0));
    }

    #[test]
    fn twice_the_work_is_twice_the_ratio() {
        let ours = Candidate::new("ours", |n| Ok(Duration::from_nanos(200) * n));
        let peer = Candidate::new("peer", |n| Ok(Duration::from_nanos(100) * n));
        let settings = Settings { rounds: 3, seed: 1 };
        let outcome = Group::new("group", 10, ours)
            .at_most(1.5, peer)
            .measure(settings, &ProgressBar::hidden())
            .unwrap();
        assert_eq!(outcome.nanos.median, 200.0);
        assert_eq!(outcome.ratios[0].ratio.median, 2.0);
        assert_eq!(outcome.ratios[0].kept, Some(false));
    }

    #[test]
    fn a_limit_of_a_figure_that_no_peer_has_is_judged() {
        let took = Duration::from_nanos(1);
        let ours = Candidate::new("ours", move |_| Ok(Sample { took, facts: vec![("ms", 7.0)] }));
        let settings = Settings { rounds: 3, seed: 1 };
        let group = Group::new("group", 10, ours).fact_at_most("ms", 5.0);
        let outcome = group.measure(settings, &ProgressBar::hidden()).unwrap();
        let [fact] = &outcome.facts[..] else { panic!("{:?}", outcome.facts) };
        assert_eq!((fact.ours.median, fact.kept), (7.0, Some(false)));
    }
}
