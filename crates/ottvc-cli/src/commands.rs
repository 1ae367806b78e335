//! One module for each group of commands: its arguments, what it asks of the facade, and how the
//! answer reads. Every command answers either with lines for people or with one JSON object.

pub(crate) mod audit;
pub(crate) mod branches;
pub(crate) mod collect;
pub(crate) mod commit;
pub(crate) mod config;
pub(crate) mod conflicts;
pub(crate) mod diff;
pub(crate) mod files;
pub(crate) mod fixity;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod layers;
pub(crate) mod manual;
pub(crate) mod merge;
pub(crate) mod merge_file;
pub(crate) mod meta;
pub(crate) mod operations;
pub(crate) mod proof;
pub(crate) mod rechunk;
pub(crate) mod restore;
pub(crate) mod stage;
pub(crate) mod status;
pub(crate) mod verify;
