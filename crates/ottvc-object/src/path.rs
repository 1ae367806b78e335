//! Names and paths in a tree: one validated type, as strict as the strictest system it may meet.
//!
//! A name that passes here can be a file on Linux, macOS and Windows, cannot leave the tree, and
//! cannot reach the repository's own folder. Names that differ only in case have one [`Name::key`],
//! and a tree has one place per key, so twins cannot be written down.

use std::borrow::Cow;
use std::fmt;

use bincode::{Decode, Encode};
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::error::ObjectError;

/// The longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 255;
/// The longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 4096;
/// The deepest path, in names.
pub const MAX_PATH_DEPTH: usize = 64;

/// Device names of Windows, which no extension redeems.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];
/// Folders that belong to version stores; also as NTFS short names.
const RESERVED: [&str; 4] = [".ottvc", ".git", "git~1", "ottvc~1"];

/// One name in a tree: UTF-8 in NFC, valid on every system.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
pub struct Name(String);

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// [`ObjectError::BadPath`] naming the rule it breaks.
    pub fn new(name: &str) -> Result<Self, ObjectError> {
        match fault(name) {
            Some(why) => Err(ObjectError::BadPath { path: name.to_owned(), why }),
            None => Ok(Self(name.to_owned())),
        }
    }
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Returns what a case-insensitive system compares: case folded (Unicode C + F), then NFC.
    pub fn key(&self) -> String {
        self.folded().into_owned()
    }
    /// As [`Name::key`], without a copy where the name is its own key.
    pub fn folded(&self) -> Cow<'_, str> {
        if self.0.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
            Cow::Borrowed(&self.0)
        } else {
            Cow::Owned(fold(&self.0))
        }
    }
    /// Whether a working copy shows this entry as a metadata document.
    pub fn is_document(&self) -> bool {
        self.0.len() > ".meta.json".len() && self.0.ends_with(".meta.json")
    }
}

/// Case folds and normalises; ASCII, nearly every name, takes the short way.
fn fold(name: &str) -> String {
    if name.is_ascii() {
        name.to_ascii_lowercase()
    } else {
        unicase::UniCase::new(name).to_folded_case().nfc().collect()
    }
}

/// Returns the rule that `name` breaks.
fn fault(name: &str) -> Option<&'static str> {
    let folded = fold(name);
    let stem = folded.split('.').next().unwrap_or_default().trim_end();
    let port = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| {
            matches!(
                rest,
                "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³"
            )
        })
    };
    let rules: [(bool, &'static str); 10] = [
        (name.is_empty(), "a name is empty"),
        (name == "." || name == "..", "`.` and `..` are no names"),
        (name.len() > MAX_NAME_BYTES, "a name is over 255 bytes"),
        (name.contains('/') || name.contains('\\'), "a name holds a slash or backslash"),
        (name.chars().any(char::is_control), "a name holds a control character"),
        (name.contains(['<', '>', ':', '"', '|', '?', '*']), "Windows refuses < > : \" | ? *"),
        (name.ends_with('.') || name.ends_with(' '), "Windows drops a dot or space at the end"),
        (
            DEVICES.contains(&stem) || port("com") || port("lpt"),
            "Windows keeps this name for a device",
        ),
        (
            RESERVED.contains(&folded.as_str()) || hidden(&folded),
            "the name belongs to a version store",
        ),
        (!is_nfc(name), "the name is not in Unicode NFC; rename it to its composed form"),
    ];
    rules.into_iter().find_map(|(broken, why)| broken.then_some(why))
}

/// Whether `folded` becomes a reserved name on HFS+, which ignores some code points.
fn hidden(folded: &str) -> bool {
    let ignored = |c: char| matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    folded.contains(ignored)
        && RESERVED.contains(&folded.chars().filter(|c| !ignored(*c)).collect::<String>().as_str())
}

impl<C> Decode<C> for Name {
    fn decode<D: bincode::de::Decoder<Context = C>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        let text = String::decode(decoder)?;
        Self::new(&text)
            .map_err(|error| bincode::error::DecodeError::OtherString(error.to_string()))
    }
}
bincode::impl_borrow_decode!(Name);

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
impl fmt::Debug for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

/// A path from the root of a tree: names joined by `/`; the empty path is the root itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode)]
pub struct RepoPath(Vec<Name>);

impl RepoPath {
    /// The root.
    pub fn root() -> Self {
        Self::default()
    }
    /// Reads a path with `/` between names; no leading, trailing or double slash. `""` is the root.
    ///
    /// # Errors
    /// [`ObjectError::BadPath`] naming the rule it breaks.
    pub fn new(path: &str) -> Result<Self, ObjectError> {
        if path.is_empty() {
            return Ok(Self::root());
        }
        let bad = |why| ObjectError::BadPath { path: path.to_owned(), why };
        if path.len() > MAX_PATH_BYTES {
            return Err(bad("a path is over 4096 bytes"));
        }
        let mut names = Vec::new();
        for name in path.split('/') {
            names.push(Name::new(name).map_err(|error| match error {
                ObjectError::BadPath { why, .. } => bad(why),
                other => other,
            })?);
        }
        if names.len() > MAX_PATH_DEPTH {
            return Err(bad("a path is over 64 names deep"));
        }
        Ok(Self(names))
    }
    /// The names, outermost first.
    pub fn names(&self) -> &[Name] {
        &self.0
    }
    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
    /// The last name, unless this is the root.
    pub fn name(&self) -> Option<&Name> {
        self.0.last()
    }
    /// The path without its last name; the root has none.
    pub fn parent(&self) -> Option<Self> {
        self.0.split_last().map(|(_, rest)| Self(rest.to_vec()))
    }
    /// This path with `name` after it.
    pub fn join(&self, name: &Name) -> Self {
        let mut names = self.0.clone();
        names.push(name.clone());
        Self(names)
    }
    /// Whether this is `other` or lies below it.
    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
    /// The keys of all names (see [`Name::key`]): the order and equality of places in a tree.
    pub fn key(&self) -> PathKey {
        PathKey(self.0.iter().map(Name::key).collect())
    }
}

/// The place a path has in a tree: equal for paths that differ only in case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PathKey(pub Vec<String>);

impl<C> Decode<C> for RepoPath {
    fn decode<D: bincode::de::Decoder<Context = C>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        let names = Vec::<Name>::decode(decoder)?;
        if names.len() > MAX_PATH_DEPTH {
            return Err(bincode::error::DecodeError::Other("a path is over 64 names deep"));
        }
        Ok(Self(names))
    }
}
bincode::impl_borrow_decode!(RepoPath);

impl fmt::Display for RepoPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            if index > 0 {
                out.write_str("/")?;
            }
            out.write_str(name.as_str())?;
        }
        Ok(())
    }
}
impl fmt::Debug for RepoPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\"{self}\"")
    }
}
