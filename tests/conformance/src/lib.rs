//! The suite that each database under the store must pass, and the two it is run over.

mod memory;

pub use memory::{Clock, Memory};
