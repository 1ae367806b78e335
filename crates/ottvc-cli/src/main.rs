//! The ottvc command line: arguments in, words or JSON out, an exit status a script can rely on.
//!
//! What a command does is in `ottvc-repo`; here is what the user types and reads. This is the one
//! crate that names a backend. A new command is a module in `commands` and a line in `args`.

mod app;
mod args;
mod commands;
mod config;
mod context;
mod editor;
mod error;
mod exit;
mod fields;
mod graph;
mod out;
mod problem;
mod progress;
mod screen;
mod show;
mod sides;
mod tracks;

use std::process::ExitCode;

fn main() -> ExitCode {
    app::main()
}
