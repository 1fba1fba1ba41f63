//! The callback component: claims what the outbox holds, posts it, writes down what came of it.

mod deliver;
mod request;
mod send;

pub use deliver::{Delivered, deliver};

#[cfg(test)]
mod tests;
