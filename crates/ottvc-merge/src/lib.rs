//! Three-way merge of trees and metadata, and of more sides than two.
//!
//! Everything here is a pure function: no clock, no randomness, nothing read or written. The caller
//! hands over values and entries, and is told which subtrees to look into. Sides that disagree are
//! never an error: they become a conflict, a value in its own place, that can be stored, merged again
//! and settled later. `docs/merge.md` has the rules; the section numbers in comments are its own.
//!
//! ```
//! use ottvc_merge::{Choice, MergeOptions, merge_values, resolve_value};
//! use ottvc_object::RepoPath;
//! use ottvc_object::conflict::Terms;
//! use ottvc_object::value::Value;
//!
//! let film = |title: &str, year: i64| {
//!     Some(Value::map([("title", Value::from(title)), ("year", Value::from(year))]))
//! };
//! let file = RepoPath::new("edition.meta.json")?;
//! let options = MergeOptions::default();
//!
//! // Different fields: both changes are in the result.
//! let terms = Terms::three(film("Dune: Part One", 2020), film("Dune", 2020), film("Dune", 2021));
//! let merged = merge_values(&terms, &options, &file)?;
//! assert_eq!(merged.value, film("Dune: Part One", 2021));
//!
//! // The same field: a conflict in its place, settled by a choice.
//! let terms = Terms::three(film("Arrakis", 2020), film("Dune", 2020), film("Dune I", 2020));
//! let merged = merge_values(&terms, &options, &file)?;
//! assert_eq!(merged.conflicts, ["/title".parse()?]);
//! let document = merged.value.unwrap_or(Value::Null);
//! let settled = resolve_value(&document, &"/title".parse()?, &Choice::Theirs)?;
//! assert_eq!(Some(settled), film("Dune I", 2020));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/editions.rs` goes on from here: a schema, a correction that flows into an edition, and what the
//! edition says itself.

pub mod algebra;
pub mod bases;
mod bindings;
mod diff3;
mod entries;
mod error;
mod functions;
mod json_files;
pub mod layers;
mod marked;
mod memory;
mod number;
mod order;
mod pattern;
mod placed;
mod rename;
mod renames;
mod resolve;
mod rules;
pub mod schema;
mod settled;
mod slot;
mod values;
mod words;

pub use bases::{Ancestry, BasePlan, BaseStep, best_common_ancestors, plan_base};
pub use bindings::{Bindings, Listed};
pub use entries::{EntryDecision, EntryMerge, EntryTerm, Place, entry_conflict, merge_entries};
pub use error::MergeError;
pub use functions::{Answer, Functions, MAX_FUNCTION_BYTES, Question};
pub use json_files::JsonFiles;
pub use marked::{Marked, SideNames};
pub use memory::{Memory, MemoryKey};
pub use rename::{MAX_FORMER_KEYS, rename_entry};
pub use renames::{Change, Move, Rename, find_renames, pair_moves};
pub use resolve::{Choice, resolve_document, resolve_in, resolve_value, without_conflicts};
pub use rules::{Editions, MergeOptions, Pattern, Rule, Side};
pub use schema::Schema;
pub use settled::what_settled;
pub use slot::{same, same_conflict};
pub use values::{
    Chosen, Decision, Merged, Versioned, contest_values, group_conflict, merge_documents,
    merge_values,
};
pub use words::{Run, word_runs};

/// Version of the merge rules, recorded in merge commits: the same inputs under the same version
/// give the same result.
pub const ENGINE_VERSION: u32 = 2;
