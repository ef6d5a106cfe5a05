//! What a node serves to others, each in a file.

mod broadcast;
mod feed;
pub(crate) mod line;
mod map;
pub(crate) mod pool;
pub(crate) mod queue;
mod turn;

pub(crate) use self::pool::MARGIN;
