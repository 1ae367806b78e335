//! Timings that cross crates.
