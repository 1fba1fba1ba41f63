//! The rules between crates are held by `tests/dependencies.rs`, `tests/unused.rs` and `tests/imports.rs`; `tests/problems.rs` holds
//! documents to the code.
