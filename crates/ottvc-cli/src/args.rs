//! What can be typed: global options and the list of commands. Help, completions and the manual come
//! from here and from the argument structs beside each command.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::{
    audit, branches, collect, commit, config, conflicts, diff, files, history, import, init,
    layers, manual, merge, merge_file, meta, operations, rechunk, restore, stage, status, verify,
};
use crate::progress::Mode;

/// Versions of a film and its editions, kept to the byte.
#[derive(Debug, Parser)]
#[command(
    name = "ottvc",
    version,
    about = "Version control for media: masters, editions, and what is known about them",
    long_about = "Version control for media: masters, editions, and what is known about them.\n\n\
        Files are cut by content and stored once. A branch is an edition. Files named *.meta.json are \
        documents: they merge field by field, and a conflict waits until somebody decides.",
    after_help = "REV is a branch, a tag, a commit id or the first 8 digits of one, or HEAD; REV~2 is \
        two commits before it, REV^2 its second parent. REV:PATH is a path in it.",
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100,
    disable_help_subcommand = false
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// Run as if started in DIR
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub(crate) folder: Option<PathBuf>,
    /// Use the repository in DIR
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) repo: Option<String>,
    /// Answer with one JSON object, errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Leave out reports and progress
    #[arg(long, short = 'q', global = true)]
    pub(crate) quiet: bool,
    /// When to use colour [default: auto]
    #[arg(long, value_name = "WHEN", global = true, hide_possible_values = true)]
    pub(crate) color: Option<When>,
    /// How to show progress: auto, json or never
    #[arg(long, value_name = "HOW", global = true, default_value = "auto")]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    pub(crate) progress: Mode,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a repository
    Init(init::Init),
    /// Show what is staged, changed and in conflict, and the next step
    Status(status::Status),
    /// Store files and stage them
    Add(stage::Add),
    /// Remove files and stage that
    Rm(stage::Rm),
    /// Rename a file or folder and stage that
    Mv(stage::Mv),
    /// Give files and documents back, as they are staged or as a revision has them
    Restore(restore::Restore),
    /// Record what is staged
    Commit(commit::Commit),
    /// Show history
    Log(history::Log),
    /// Show one commit and its changes
    Show(history::Show),
    /// List, make, delete or rename branches; a branch is an edition
    Branch(branches::Branch),
    /// List, make or delete tags
    Tag(branches::Tag),
    /// Move the working copy to a branch
    Switch(branches::Switch),
    /// Write files of a revision out to any folder
    Checkout(files::Checkout),
    /// Write a file of a revision to standard output
    Cat(files::Cat),
    /// List the entries of a revision
    Ls(files::Ls),
    /// Show what differs: documents by field, media by byte range
    Diff(diff::Diff),
    /// Merge a revision into the current branch
    Merge(merge::Merge),
    /// List conflicts, with what base, ours and theirs have
    Conflicts(conflicts::Conflicts),
    /// Settle conflicts
    Resolve(conflicts::Resolve),
    /// Merge three JSON files by field
    MergeFile(merge_file::MergeFile),
    /// Read and change metadata documents
    Meta(meta::Meta),
    /// Move editions on to a newer state of what they inherit from
    Propagate(layers::Propagate),
    /// Push the change of one commit to other editions, field by field
    Apply(layers::Apply),
    /// Show editions as a tree, what is each one's own, and who lags behind
    Lineage(layers::Lineage),
    /// Take in what a source delivers: Dublin Core, EBUCore, PBCore, MEC, OMC, IMF, tables
    Import(import::Import),
    /// Write a metadata document in a foreign format
    Export(import::Export),
    /// Show who holds which bytes; list hashes and make proofs for others
    Audit(audit::Audit),
    /// Remove what nothing reaches any more, in two steps
    Gc(collect::Gc),
    /// Keep stored files as new ones would be kept
    Rechunk(rechunk::Rechunk),
    /// List what collection put aside, and take it back
    Trash(collect::Trash),
    /// Read back and check every byte, object and reference
    Verify(verify::Verify),
    /// Take back the last operation, or a given one
    Undo(operations::Undo),
    /// List operations: every command that moved a branch or tag
    Ops(operations::Ops),
    /// List, read and change settings
    Config(config::Config),
    /// Look for trouble, and mend the index
    Doctor(verify::Doctor),
    /// Print a completion script for a shell
    Completions(manual::Completions),
    /// Print the manual
    Man(manual::Man),
    /// Print the version
    Version(manual::Version),
}

/// The command below `above` that is most like the one typed, if any is much like it.
pub(crate) fn near_command<'c>(above: &'c clap::Command, typed: &str) -> Option<&'c str> {
    let names = above.get_subcommands().map(clap::Command::get_name);
    let far = |name: &str| (strsim::damerau_levenshtein(name, typed), name.len());
    let near = names.filter(|name| far(name).0 <= 3.min(typed.chars().count() / 2));
    near.min_by_key(|name| far(name))
}
