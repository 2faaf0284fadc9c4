//! The little state that outlives a request: bounded, in this process's memory.

pub mod cells;
pub mod counts;
pub mod kept;
pub mod key;
pub mod recent;

pub use cells::Cells;
pub use counts::{Counts, Place};
pub use kept::Kept;
pub use key::{Key, Keyed};
pub use recent::Recent;
