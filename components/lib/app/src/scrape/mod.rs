//! The scrapers: claim, fetch, extract, record, over and over until nothing waits.

mod attempt;
mod drain;
mod extractor;
mod extractors;
mod leases;
mod record;

pub use drain::{Drained, drain};
pub use extractor::{Extracted, Extractor};
pub use extractors::{Domains, Html, Text};

#[cfg(test)]
mod tests;
