//! Has the C++ runtime that RocksDB needs linked into the program. It then starts faster (a tenth of what a
//! short command takes) and needs nothing of the system but its C library.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let (os, out) = (std::env::var("CARGO_CFG_TARGET_OS"), std::env::var("OUT_DIR"));
    let (Ok("linux"), Ok(out)) = (os.as_deref(), out) else { return };
    let archive = "libstdc++.a";
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    // A compiler that has no such archive prints the name as it was given.
    let found = Command::new(compiler).arg(format!("-print-file-name={archive}")).output();
    let found = found.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let Some(found) = found.map(|path| PathBuf::from(path.trim())) else { return };
    // In a folder by itself: the shared one lies beside it, and would be preferred.
    let alone = Path::new(&out).join(archive);
    if found.is_absolute() && std::fs::copy(&found, &alone).is_ok() {
        println!("cargo:rustc-link-search=native={out}");
    }
}
