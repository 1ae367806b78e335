//! The ASC Media Hash List, version 2: the sealed inventory of a folder that film tools exchange.
//!
//! One generation, as the tool that first seals a folder writes it: an `ascmhl` folder with the list
//! (`0001_NAME_DATE_TIMEZ.mhl`) and the chain, which names the list by its C4 id. A folder that has a
//! history keeps it: whoever adds to one must verify it first, and that is the work of other tools.
//!
//! # Reference
//! "ASC Media Hash List Specification", version 2.0, and its schemas `ASCMHL.xsd` and
//! `ASCMHLDirectory.xsd`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use ottvc_object::{Name, RepoPath};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use sha2::{Digest, Sha512};

use super::fixity::{FixityFile, FixityFormat, FixityList, Hasher};
use crate::RepoError;
use crate::scan;
use crate::worktree::Sink;

/// The folder that holds a history.
const FOLDER: &str = "ascmhl";
/// Names that the tools pass over, and the patterns that say so in a list.
const PASSED_OVER: [&str; 2] = [".DS_Store", FOLDER];
/// The namespace of a list.
const LIST: &str = "urn:ASC:MHL:v2.0";
/// The namespace of a chain.
const CHAIN: &str = "urn:ASC:MHL:DIRECTORY:v2.0";

/// Who seals, and when.
#[derive(Clone, Debug)]
pub struct Seal {
    /// The machine's name.
    pub host: String,
    /// Version of the program.
    pub version: String,
    /// UTC milliseconds since 1970.
    pub time: i64,
}

/// Whether tools pass over the file at `path`, so that no list may name it.
pub(super) fn is_passed_over(path: &RepoPath) -> bool {
    path.names().iter().any(|name| PASSED_OVER.contains(&name.as_str()))
}

impl FixityList {
    /// Returns the list as one generation of a history: the text of its `.mhl` file.
    ///
    /// # Errors
    /// [`RepoError::WrongKind`] for a name that XML cannot spell.
    pub fn to_mhl(&self, seal: &Seal) -> Result<Vec<u8>, RepoError> {
        let spelled = |text: &str| !text.contains(['\u{fffe}', '\u{ffff}']);
        let paths = self.files.iter().map(|file| file.path.to_string());
        if let Some(path) = paths.chain(self.left_out.iter().cloned()).find(|path| !spelled(path)) {
            return Err(RepoError::WrongKind { path, wanted: "name that XML can spell" });
        }
        let mut root = Folder::default();
        for file in &self.files {
            root.add(file.path.names(), file);
        }
        let mut xml = Xml::new(seal.time);
        // Writing into memory fails for nothing.
        xml.list(self, seal, &root).map_err(scan::io("write", "a hash list in memory"))?;
        Ok(xml.finish())
    }

    /// Seals `folder`, into which the revision was or will be written out: makes `ascmhl/` in it.
    /// Returns the path of the list.
    ///
    /// The chain is written last: without it the folder has no history, and may be sealed again once
    /// the leftover is gone.
    ///
    /// # Errors
    /// [`RepoError::InTheWay`] if it has a history; else as [`FixityList::to_mhl`], or the file
    /// system's.
    pub fn seal(&self, folder: &Path, seal: &Seal) -> Result<PathBuf, RepoError> {
        let mhl = self.to_mhl(seal)?;
        let sink = Sink::open(folder)?;
        let history = folder.join(FOLDER);
        if scan::lstat(&history)?.is_some() {
            return Err(RepoError::InTheWay { path: history.display().to_string() });
        }
        let real = folder.canonicalize().map_err(scan::io("look at", folder))?;
        let title = real.file_name().map(|name| name.to_string_lossy().into_owned());
        let stamp = timestamp(seal.time).strftime("%Y-%m-%d_%H%M%SZ").to_string();
        let name = format!("0001_{}_{stamp}.mhl", plain(&title.unwrap_or_else(|| "root".into())));
        let at = |name: &str| RepoPath::new(&format!("{FOLDER}/{name}"));
        sink.put_bytes(&at(&name)?, &mhl)?;
        let mut xml = Xml::new(seal.time);
        xml.chain(&name, &c4(&mhl)).map_err(scan::io("write", "a chain in memory"))?;
        sink.put_bytes(&at("ascmhl_chain.xml")?, &xml.finish())?;
        Ok(history.join(name))
    }
}

/// A folder's name as part of a file name that every system can hold.
fn plain(name: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || "-_. ".contains(c) { c } else { '_' };
    let short: String = name.chars().take(40).map(kept).collect();
    // What is not in normal form is no name here; the letters themselves say enough.
    match Name::new(&short) {
        Ok(_) => short,
        Err(_) => short.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect(),
    }
}

fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or_default()
}

/// The C4 id of some bytes: SHA-512 in base 58, 88 digits, after `c4`.
///
/// # Reference
/// SMPTE ST 2114.
fn c4(bytes: &[u8]) -> String {
    format!("c4{:1>88}", bs58::encode(Sha512::digest(bytes)).into_string())
}

/// A folder of a list. Its files and folders are in one order, that of their names' bytes.
#[derive(Default)]
struct Folder<'l> {
    items: BTreeMap<&'l str, Item<'l>>,
}

enum Item<'l> {
    File(&'l FixityFile),
    Folder(Folder<'l>),
}

/// The two hashes of a folder: over the contents of its files, and over their names too.
struct FolderHashes {
    content: Vec<u8>,
    structure: Vec<u8>,
}

impl<'l> Folder<'l> {
    fn add(&mut self, names: &'l [Name], file: &'l FixityFile) {
        match names {
            [] => {}
            [name] => {
                self.items.insert(name.as_str(), Item::File(file));
            }
            [name, rest @ ..] => {
                let folder = Item::Folder(Folder::default());
                if let Item::Folder(folder) = self.items.entry(name.as_str()).or_insert(folder) {
                    folder.add(rest, file);
                }
            }
        }
    }

    /// A folder's hash is that of its items' hashes, in the order of their bytes.
    fn hashes(&self) -> FolderHashes {
        let (mut contents, mut structures) = (Vec::new(), Vec::new());
        for (name, item) in &self.items {
            let (content, structure) = match item {
                Item::File(file) => (unhex(&file.hash), unhex(&file.hash)),
                Item::Folder(folder) => {
                    let hashes = folder.hashes();
                    (hashes.content, hashes.structure)
                }
            };
            structures.push(xxh128([name.as_bytes(), &structure]));
            contents.push(content);
        }
        contents.sort();
        structures.sort();
        FolderHashes { content: xxh128(contents), structure: xxh128(structures) }
    }
}

fn xxh128(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<u8> {
    let mut hasher = Hasher::new(FixityFormat::AscMhl);
    parts.into_iter().for_each(|part| hasher.update(part.as_ref()));
    hasher.finish()
}

/// The bytes of hexadecimal digits that this program wrote.
fn unhex(digits: &str) -> Vec<u8> {
    let number = u128::from_str_radix(digits, 16).unwrap_or_default();
    number.to_be_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// XML as it grows.
struct Xml {
    out: Writer<Vec<u8>>,
    /// When everything was hashed, as XML spells it.
    time: String,
}

impl Xml {
    fn new(ms: i64) -> Self {
        let time = timestamp(ms).strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string();
        Self { out: Writer::new_with_indent(Vec::new(), b' ', 2), time }
    }

    fn finish(self) -> Vec<u8> {
        let mut bytes = self.out.into_inner();
        bytes.push(b'\n');
        bytes
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) -> std::io::Result<()> {
        let start = BytesStart::new(name).with_attributes(attributes.iter().copied());
        self.out.write_event(Event::Start(start))
    }
    fn close(&mut self, name: &str) -> std::io::Result<()> {
        self.out.write_event(Event::End(BytesEnd::new(name)))
    }
    fn text(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) -> std::io::Result<()> {
        self.out
            .create_element(name)
            .with_attributes(attributes.iter().copied())
            .write_text_content(BytesText::new(text))?;
        Ok(())
    }
    fn declare(&mut self) -> std::io::Result<()> {
        self.out.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))
    }

    fn list(&mut self, list: &FixityList, seal: &Seal, root: &Folder<'_>) -> std::io::Result<()> {
        self.declare()?;
        self.open("hashlist", &[("version", "2.0"), ("xmlns", LIST)])?;
        self.open("creatorinfo", &[])?;
        let time = self.time.clone();
        self.text("creationdate", &[], &time)?;
        self.text("hostname", &[], &seal.host)?;
        self.text("tool", &[("version", &seal.version)], "ottvc")?;
        self.text("comment", &[], &format!("commit {}", list.commit))?;
        self.close("creatorinfo")?;
        self.open("processinfo", &[])?;
        // Written out of a store, and hashed there: the folder itself was not read.
        self.text("process", &[], "transfer")?;
        self.open("roothash", &[])?;
        self.folder_hashes(&root.hashes())?;
        self.close("roothash")?;
        self.open("ignore", &[])?;
        for pattern in [PASSED_OVER[0], FOLDER, "ascmhl/"] {
            self.text("pattern", &[], pattern)?;
        }
        for path in &list.left_out {
            if !path.split('/').any(|name| PASSED_OVER.contains(&name)) {
                self.text("pattern", &[], &pattern(path))?;
            }
        }
        self.close("ignore")?;
        self.close("processinfo")?;
        // The schema wants at least one hash, or no list of them.
        if !root.items.is_empty() {
            self.open("hashes", &[])?;
            self.folder("", root)?;
            self.close("hashes")?;
        }
        self.close("hashlist")
    }

    /// Folders come before what lies beside them, as the tools walk.
    fn folder(&mut self, path: &str, folder: &Folder<'_>) -> std::io::Result<()> {
        for (name, item) in &folder.items {
            if let Item::Folder(below) = item {
                self.folder(&format!("{path}{name}/"), below)?;
            }
        }
        let time = self.time.clone();
        for (name, item) in &folder.items {
            let path = format!("{path}{name}");
            match item {
                Item::File(file) => {
                    self.open("hash", &[])?;
                    self.text("path", &[("size", &file.bytes.to_string())], &path)?;
                    let attributes = [("action", "original"), ("hashdate", &*time)];
                    self.text("xxh128", &attributes, &file.hash)?;
                    self.close("hash")?;
                }
                Item::Folder(below) => {
                    self.open("directoryhash", &[])?;
                    self.text("path", &[], &path)?;
                    self.folder_hashes(&below.hashes())?;
                    self.close("directoryhash")?;
                }
            }
        }
        Ok(())
    }

    fn folder_hashes(&mut self, hashes: &FolderHashes) -> std::io::Result<()> {
        let time = self.time.clone();
        for (name, hash) in [("content", &hashes.content), ("structure", &hashes.structure)] {
            self.open(name, &[])?;
            self.text("xxh128", &[("hashdate", &time)], &hex(hash))?;
            self.close(name)?;
        }
        Ok(())
    }

    fn chain(&mut self, name: &str, id: &str) -> std::io::Result<()> {
        self.declare()?;
        self.open("ascmhldirectory", &[("xmlns", CHAIN)])?;
        self.open("hashlist", &[("sequencenr", "1")])?;
        self.text("path", &[], name)?;
        self.text("c4", &[], id)?;
        self.close("hashlist")?;
        self.close("ascmhldirectory")
    }
}

/// The pattern, as gitignore has them, that passes over one path below whatever folder it lies in:
/// the tools match against whole paths of the file system.
fn pattern(path: &str) -> String {
    format!("**/{}", path.replace('[', r"\["))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_c4_id_is_that_of_the_standard() {
        // SHA-512 of nothing, as the C4 ID framework's own tests have it.
        assert_eq!(
            c4(b""),
            "c459dsjfscH38cYeXXYogktxf4Cd9ibshE3BHUo6a58hBXmRQdZrAkZzsWcbWtDg5oQstpDuni4Hirj75GEmTc1sFT"
        );
        assert_eq!(c4(b"any").len(), 90);
    }

    #[test]
    fn names_of_folders_fit_into_names_of_files() {
        assert_eq!(plain("A002R2EC"), "A002R2EC");
        assert_eq!(plain("a:b/c"), "a_b_c");
        assert_eq!(plain("Nordlicht – Fassung"), "Nordlicht _ Fassung");
        assert_eq!(plain("nu\u{308}r"), "nu_r");
    }
}
