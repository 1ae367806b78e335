//! Builders, strategies and conformance suites for tests.

pub mod cases;
pub mod collect;
pub mod faults;
pub mod objects;
pub mod refs;
pub mod tools;
pub mod values;
pub mod workspace;
