//! Text files: which there are, how they are cut into pieces, and what is in them. Nothing of it is shared.

pub(crate) mod count;
pub(crate) mod outcome;
pub(crate) mod plan;
pub(crate) mod walk;
