//! trawl-extract: see components/ARCHITECTURE.md.

pub mod dom;
pub mod text;
