//! What can be said of an object by who only looks at its bytes.

use core::fmt;

/// What the bytes of an object say of its state, in words and numbers, for people and for programs that watch.
///
/// Each was true at some moment, and not all at the same one. Nothing may be decided by them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(Vec<(&'static str, Fact)>);

/// The answer to one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// So many.
    Number(u64),
    /// Yes or no.
    Is(bool),
    /// A word for it.
    Word(&'static str),
}

impl Facts {
    /// Nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says one more thing. `what` is one or more words in lower case.
    #[must_use]
    pub fn say(mut self, what: &'static str, fact: impl Into<Fact>) -> Self {
        self.0.push((what, fact.into()));
        self
    }

    /// Returns how many there are of `what`, if that is said.
    pub fn number(&self, what: &str) -> Option<u64> {
        self.iter().find_map(|(said, fact)| match fact {
            Fact::Number(number) if said == what => Some(number),
            _ => None,
        })
    }

    /// Returns whether it is said that `what` is so.
    pub fn is(&self, what: &str) -> bool {
        self.iter().any(|(said, fact)| said == what && fact == Fact::Is(true))
    }

    /// Returns all that is said, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Fact)> {
        self.0.iter().copied()
    }
}

impl From<u64> for Fact {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Fact {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Fact {
    fn from(is: bool) -> Self {
        Self::Is(is)
    }
}

impl From<&'static str> for Fact {
    fn from(word: &'static str) -> Self {
        Self::Word(word)
    }
}

/// `held, 2 deaths, clean`: what is not so is not said.
impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (what, fact) in self.iter() {
            match fact {
                Fact::Is(false) => continue,
                Fact::Is(true) => write!(f, "{comma}{what}")?,
                Fact::Number(number) => write!(f, "{comma}{what} {number}")?,
                Fact::Word(word) => write!(f, "{comma}{what} {word}")?,
            }
            comma = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_so_is_not_said() {
        let facts = Facts::new().say("held", true).say("poisoned", false).say("deaths", 2_u32);
        assert_eq!(facts.clone().say("data", "clean").to_string(), "held, deaths 2, data clean");
        assert_eq!(Facts::new().to_string(), "");
        assert_eq!((facts.number("deaths"), facts.number("held")), (Some(2), None));
        assert!(facts.is("held") && !facts.is("poisoned") && !facts.is("deaths"));
    }
}
