//! trawl-extract: see components/ARCHITECTURE.md.

pub mod charset;
mod css;
pub mod dom;
pub mod domains;
pub mod html;
mod json_ld;
pub mod nul;
mod octets;
pub mod refresh;
pub mod text;
