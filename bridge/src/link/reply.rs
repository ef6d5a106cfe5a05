//! Answers on their way back.

use std::sync::Arc;

use super::Link;
use crate::frame::{Decline, Frame};

/// Where an answer goes. Dropped without one, it says that there is none.
pub(crate) struct Reply {
    link: Option<Arc<Link>>,
    pub(crate) ticket: u64,
}

impl Reply {
    pub(super) fn new(link: &Arc<Link>, ticket: u64) -> Self {
        Self { link: Some(link.clone()), ticket }
    }

    /// Sends a part of the answer.
    pub(crate) fn part(&self, body: &[u8]) {
        if let Some(link) = &self.link {
            link.post(&Frame::Part { ticket: self.ticket, body });
        }
    }

    pub(crate) fn answer(mut self, body: &[u8]) {
        if let Some(link) = self.link.take() {
            link.post(&Frame::Answer { ticket: self.ticket, body });
        }
    }

    pub(crate) fn decline(mut self, why: Decline) {
        if let Some(link) = self.link.take() {
            link.post(&Frame::Declined { ticket: self.ticket, why });
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            let why = Decline::Refused("what was asked is served no more".into());
            link.post(&Frame::Declined { ticket: self.ticket, why });
        }
    }
}
