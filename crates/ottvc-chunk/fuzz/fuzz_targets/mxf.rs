//! Any bytes as MXF: extents are sorted, disjoint and in the file, and the same whatever windows it is
//! shown in.

#![no_main]

mod windows;

use libfuzzer_sys::fuzz_target;
use ottvc_chunk::track::mxf;

fuzz_target!(|bytes: &[u8]| windows::check(mxf::open, bytes));
