//! From a request head to the route that answers it.

pub mod params;
pub mod pattern;
pub mod scope;
pub mod table;

pub use params::Params;
pub use pattern::{HostPattern, PathPattern};
pub use scope::RequestScope;
pub use table::{Entry, NoRoute, Table};
