//! Several processes at once on one store, any of them killed at any moment, any of their steps failing: what the store promises holds all the same.
//!
//! The processes are this test binary, started again (`stress/process.rs`). What holds is found by `stress/audit.rs`, which reads index and files for
//! itself.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod stress {
    mod audit;
    mod crowd;
    mod process;
    #[cfg(debug_assertions)]
    mod steps;
    mod world;
}
