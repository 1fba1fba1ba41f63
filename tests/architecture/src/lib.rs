//! The rules between crates are held by `tests/dependencies.rs` and `tests/imports.rs`.
