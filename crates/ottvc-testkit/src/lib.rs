//! Builders, strategies and conformance suites for tests.

pub mod values;
pub mod faults;
pub mod objects;
pub mod refs;
pub mod workspace;
