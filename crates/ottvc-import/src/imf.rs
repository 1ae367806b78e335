//! IMF packages: asset map, packing lists, and composition playlists.
//!
//! An asset map says where files are, a packing list what bytes they must have, a composition playlist
//! what an edition is made of. Every file of a packing list is read through the caller's reader and
//! hashed; whatever is missing or differs is a finding that forbids taking the delivery. Durations are
//! whole numbers of edit units at a rational rate.

mod beside;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{KeyedList, Value, ValueMap};
use sha1::{Digest, Sha1};

use crate::imf::beside::Beside;
use crate::kind::{gcd, rational};
use crate::tree::{Element, MAX_BYTES};
use crate::{Delivery, Finding, ImportError, Severity, built_in, xml};

/// The names of an asset map, in its folder.
pub const ASSET_MAPS: [&str; 2] = ["ASSETMAP.xml", "ASSETMAP"];
/// The most packing lists of a package.
pub const MAX_PACKING_LISTS: usize = 16;
/// The most composition playlists of a package, over all its packing lists.
pub const MAX_PLAYLISTS: usize = 256;
/// The most bytes of them together.
const MAX_PLAYLIST_BYTES: u64 = 2 * MAX_BYTES;
/// The most bytes by which the files of a package are written down, over all playlists.
const MAX_FILES_BYTES: usize = 64 << 20;
/// What one file costs there beside its texts.
const FILE_BYTES: usize = 256;
const SHA1: &str = "http://www.w3.org/2000/09/xmldsig#sha1";
/// How much of a file is hashed at a time.
const BLOCK: usize = 1 << 16;

/// Gives the files of a package; who implements it reads them.
pub trait Package {
    /// Opens the file at a relative path, its steps parted by `/`; `None` if there is none.
    ///
    /// # Errors
    /// What the system says.
    fn open(&mut self, path: &str) -> std::io::Result<Option<Box<dyn Read + '_>>>;
}

/// One file of a packing list.
#[derive(Clone, Debug)]
struct Asset {
    id: String,
    path: Option<String>,
    hash: String,
    size: Option<u64>,
    kind: String,
    algorithm: Option<String>,
    line: u64,
}

/// Reads a package: one document for each composition playlist in its packing lists.
///
/// # Errors
/// [`ImportError`] for lists that cannot be read. Files that are not what the lists say are findings of
/// the deliveries, of severity [`Severity::Error`].
pub fn read_package(package: &mut dyn Package) -> Result<Vec<Delivery>, ImportError> {
    let unknown = |why: &str| ImportError::UnknownFormat { why: why.to_owned() };
    let mut map = None;
    for name in ASSET_MAPS {
        if map.is_none() {
            map = whole(package, name)?;
        }
    }
    let map = xml::parse(&map.ok_or_else(|| unknown("the folder has no ASSETMAP.xml"))?)?;
    if local(&map.name) != "AssetMap" {
        return Err(unknown("ASSETMAP.xml is no asset map"));
    }
    let mut findings = Vec::new();
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let mut lists = Vec::new();
    for asset in below(&map, &["AssetList", "Asset"]) {
        let id = uuid(&text_of(asset, "Id"));
        let chunks = below(asset, &["ChunkList", "Chunk"]);
        let path = match chunks.as_slice() {
            [chunk] => text_of(chunk, "Path"),
            _ => {
                let why = format!("{id} is in {} pieces; only whole files are read", chunks.len());
                findings.push(error("pieces", asset, why));
                continue;
            }
        };
        let path = path.strip_prefix("file:///").unwrap_or(&path).to_owned();
        if !is_inside(&path) {
            findings.push(error("outside", asset, format!("`{path}` leaves the package")));
            continue;
        }
        if places.contains_key(&id) {
            findings.push(error("repeated", asset, format!("{id} is listed twice")));
            continue;
        }
        if let Some(other) = owners.get(&path) {
            let why = format!("`{path}` is both {other} and {id}");
            findings.push(error("repeated", asset, why));
            continue;
        }
        if child(asset, "PackingList").is_some_and(|it| it.text() != "false") {
            if lists.len() >= MAX_PACKING_LISTS {
                let (what, limit) = ("too many packing lists", MAX_PACKING_LISTS as u64);
                return Err(ImportError::TooLarge { what, line: asset.line, limit });
            }
            lists.push((asset.line, path.clone()));
        }
        owners.insert(path.clone(), id.clone());
        places.insert(id, path);
    }
    if lists.is_empty() {
        return Err(unknown("its asset map names no packing list"));
    }
    let mut deliveries = Vec::new();
    let mut taken = Taken::default();
    for (line, path) in lists {
        let Some(bytes) = whole(package, &path)? else {
            let why = format!("the packing list `{path}` is not there");
            findings.push(found("missing", "Asset", line, why));
            continue;
        };
        let list = xml::parse(&bytes)?;
        if local(&list.name) != "PackingList" {
            findings.push(found("unread", "Asset", line, format!("`{path}` is no packing list")));
            continue;
        }
        deliveries.extend(packed(package, &list, &places, &mut findings, &mut taken)?);
    }
    if deliveries.is_empty() && findings.is_empty() {
        return Err(unknown("no packing list names a composition playlist"));
    }
    let several = deliveries.len() > 1;
    for delivery in &mut deliveries {
        if several {
            let id = delivery.document.get(&FieldPath::root().key("ids").key("cpl"));
            if let Some(Value::String(id)) = id {
                delivery.path = Some(format!("{id}.meta.json"));
            }
        }
    }
    match deliveries.first_mut() {
        Some(first) => first.findings.splice(..0, findings).for_each(drop),
        // Nothing could be read, and why must still be told.
        None => deliveries.push(Delivery {
            path: None,
            format: "imf".to_owned(),
            mapping: built_in("imf")?.name().to_owned(),
            document: Value::Map(ValueMap::new()),
            scope: Vec::new(),
            unmapped: 0,
            findings,
        }),
    }
    Ok(deliveries)
}

/// What the playlists of a package took so far.
#[derive(Default)]
struct Taken {
    playlists: usize,
    bytes: u64,
    /// Bytes of the files written down.
    files: usize,
}

impl Taken {
    /// Takes one more playlist of a packing list's, of so many bytes.
    fn playlist(&mut self, bytes: &[u8], line: u64) -> Result<(), ImportError> {
        self.playlists += 1;
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        let past = |what, limit| Err(ImportError::TooLarge { what, line, limit });
        if self.playlists > MAX_PLAYLISTS {
            return past("too many composition playlists", MAX_PLAYLISTS as u64);
        }
        if self.bytes > MAX_PLAYLIST_BYTES {
            return past("too many bytes of composition playlists", MAX_PLAYLIST_BYTES);
        }
        Ok(())
    }

    /// Takes the files that one playlist is written down with.
    fn files(&mut self, assets: &[Asset], more: usize) -> Result<(), ImportError> {
        let texts = |asset: &Asset| {
            let path = asset.path.as_ref().map_or(0, String::len);
            FILE_BYTES + asset.id.len() + asset.hash.len() + asset.kind.len() + path
        };
        let bytes = assets.iter().map(texts).sum::<usize>().saturating_add(more);
        self.files = self.files.saturating_add(bytes);
        match self.files > MAX_FILES_BYTES {
            true => Err(ImportError::TooLarge {
                what: "too many files in too many playlists",
                line: assets.first().map_or(0, |asset| asset.line),
                limit: MAX_FILES_BYTES as u64,
            }),
            false => Ok(()),
        }
    }
}

/// Checks the files of one packing list and reads its compositions.
fn packed(
    package: &mut dyn Package,
    list: &Element,
    places: &BTreeMap<String, String>,
    findings: &mut Vec<Finding>,
    taken: &mut Taken,
) -> Result<Vec<Delivery>, ImportError> {
    let mapping = built_in("imf")?;
    let mut assets = Vec::new();
    let mut ids = BTreeSet::new();
    let mut compositions = Vec::new();
    let mut beside = Beside::default();
    for element in below(list, &["AssetList", "Asset"]) {
        let id = uuid(&text_of(element, "Id"));
        // Read once, however often it is listed.
        if !ids.insert(id.clone()) {
            findings.push(error("repeated", element, format!("{id} is packed twice")));
            continue;
        }
        let asset = Asset {
            path: places.get(&id).cloned(),
            hash: text_of(element, "Hash"),
            size: text_of(element, "Size").parse().ok(),
            kind: text_of(element, "Type"),
            algorithm: child(element, "HashAlgorithm")
                .and_then(|it| it.attribute("Algorithm"))
                .map(|(_, attribute)| attribute.value.clone()),
            line: element.line,
            id,
        };
        if let Some(bytes) = check(package, &asset, findings)
            && let Ok(root) = xml::parse(&bytes)
        {
            if local(&root.name) == "CompositionPlaylist" {
                taken.playlist(&bytes, asset.line)?;
                let place = asset.path.clone().unwrap_or_default();
                compositions.push((place, crate::read(&bytes, Some(&mapping))?));
            } else {
                beside.read(&root);
            }
        }
        assets.push(asset);
    }
    let mut deliveries = Vec::new();
    for (place, read) in compositions {
        for mut delivery in read {
            // The packing list spoke for its bytes.
            delivery.findings.retain(|finding| finding.code != UNCHECKED);
            for file in files_of(&delivery.document) {
                if !ids.contains(&file) {
                    let why = format!("{file} is not in this package; it must be there already");
                    delivery.findings.push(Finding {
                        severity: Severity::Warning,
                        code: "elsewhere",
                        line: 0,
                        element: place.clone(),
                        why,
                    });
                }
            }
            taken.files(&assets, beside.bytes_of(&delivery))?;
            beside.describe(&mut delivery, uuid(&text_of(list, "Id")), &assets)?;
            deliveries.push(delivery);
        }
    }
    Ok(deliveries)
}

/// Hashes a file; returns its bytes if it is XML, and whole.
fn check(package: &mut dyn Package, asset: &Asset, findings: &mut Vec<Finding>) -> Option<Vec<u8>> {
    let mut find = |code, why: String| findings.push(found(code, "Asset", asset.line, why));
    let Some(path) = &asset.path else {
        find("missing", format!("the asset map does not say where {} is", asset.id));
        return None;
    };
    if let Some(algorithm) = asset.algorithm.as_deref().filter(|algorithm| *algorithm != SHA1) {
        find(
            "algorithm",
            format!("`{path}` is hashed by `{algorithm}`, and SHA-1 alone is checked"),
        );
        return None;
    }
    let Some(wanted) = STANDARD.decode(&asset.hash).ok().filter(|hash| hash.len() == 20) else {
        find("hash", format!("`{}` is no SHA-1 in base64", asset.hash));
        return None;
    };
    let mut reader = match package.open(path) {
        Ok(Some(reader)) => reader,
        Ok(None) => {
            find("missing", format!("`{path}` is not there"));
            return None;
        }
        Err(error) => {
            find("unread", format!("`{path}` cannot be read: {error}"));
            return None;
        }
    };
    let is_xml = asset.kind.contains("xml");
    let (mut hash, mut len, mut kept) = (Sha1::new(), 0_u64, Vec::new());
    let mut block = vec![0; BLOCK];
    loop {
        let read = match reader.read(&mut block) {
            Ok(0) => break,
            Ok(read) => block.get(..read).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => {
                find("unread", format!("`{path}` cannot be read: {error}"));
                return None;
            }
        };
        hash.update(read);
        len += read.len() as u64;
        if is_xml && len <= MAX_BYTES {
            kept.extend_from_slice(read);
        }
    }
    if let Some(size) = asset.size.filter(|size| *size != len) {
        find("size", format!("`{path}` has {len} bytes, and should have {size}"));
        return None;
    }
    let have = hash.finalize();
    if have.as_slice() != wanted.as_slice() {
        let have = STANDARD.encode(have);
        find("hash", format!("`{path}` has the SHA-1 {have}, and should have {}", asset.hash));
        return None;
    }
    (is_xml && len <= MAX_BYTES).then_some(kept)
}

/// The code of the finding that nobody vouched for a playlist's bytes.
const UNCHECKED: &str = "unchecked";

/// Adds to what a mapping said of a composition playlist what must be computed.
pub(crate) fn compute(delivery: &mut Delivery, root: &Element) -> Result<(), ImportError> {
    if local(&root.name) != "CompositionPlaylist" {
        return Ok(());
    }
    let own_rate = child(root, "EditRate").and_then(|rate| rational(&rate.text()));
    let mut tracks: BTreeMap<String, Track> = BTreeMap::new();
    let mut order = Vec::new();
    for sequence in below(root, &["SegmentList", "Segment", "SequenceList", "*"]) {
        let id = uuid(&text_of(sequence, "TrackId"));
        if !tracks.contains_key(&id) {
            order.push(id.clone());
        }
        let track = tracks.entry(id).or_default();
        track.kind = local(&sequence.name).to_owned();
        for resource in below(sequence, &["ResourceList", "Resource"]) {
            track.add(resource, own_rate.as_deref());
        }
    }
    let root_path = FieldPath::root();
    let mut list = KeyedList::empty(vec!["track".to_owned()])?;
    let mut main = None;
    for id in order {
        let Some(track) = tracks.get(&id) else { continue };
        if let Some(why) = track.odd {
            delivery.findings.push(Finding {
                severity: Severity::Warning,
                code: "duration",
                line: root.line,
                element: track.kind.clone(),
                why: format!("the track {id} {why}; no duration is given for it"),
            });
        }
        if main.is_none() && track.kind == "MainImageSequence" {
            main = track.length();
        }
        let item = track.item(&id)?;
        list.put(list.key_of(&item)?, Value::Map(item))?;
    }
    if !list.items().is_empty() {
        delivery.document.set(&root_path.key("tracks"), Some(Value::Keyed(list)))?;
    }
    if let Some((units, rate)) = main
        && let Some(runtime) = seconds(units, &rate)
    {
        delivery.document.set(&root_path.key("runtime"), Some(runtime.into()))?;
    }
    delivery.scope.extend(["runtime", "tracks"].map(|name| root_path.key(name)));
    delivery.scope.sort();
    delivery.scope.dedup();
    delivery.findings.push(Finding {
        severity: Severity::Warning,
        code: UNCHECKED,
        line: root.line,
        element: local(&root.name).to_owned(),
        why: "by itself its bytes are not checked; import the folder of its package".to_owned(),
    });
    Ok(())
}

/// A virtual track, over all segments.
#[derive(Debug, Default)]
struct Track {
    kind: String,
    rate: Option<String>,
    units: u64,
    files: BTreeSet<String>,
    /// Why its duration cannot be told.
    odd: Option<&'static str>,
}

impl Track {
    fn add(&mut self, resource: &Element, own_rate: Option<&str>) {
        let file = text_of(resource, "TrackFileId");
        if !file.is_empty() {
            self.files.insert(uuid(&file));
        }
        let given = child(resource, "EditRate").map(|rate| rational(&rate.text()));
        let rate = given.unwrap_or_else(|| own_rate.map(str::to_owned));
        let number = |name: &str, default: Option<u64>| match child(resource, name) {
            Some(found) => found.text().parse().ok(),
            None => default,
        };
        let entry = number("EntryPoint", Some(0));
        let rest = || number("IntrinsicDuration", None)?.checked_sub(entry?);
        let units = match child(resource, "SourceDuration") {
            Some(_) => number("SourceDuration", None),
            None => rest(),
        };
        let repeated = number("RepeatCount", Some(1));
        let units = units.and_then(|units| units.checked_mul(repeated?));
        match (units.and_then(|units| self.units.checked_add(units)), rate) {
            (Some(sum), Some(rate)) if self.rate.as_ref().is_none_or(|known| *known == rate) => {
                (self.units, self.rate) = (sum, Some(rate));
            }
            (Some(_), Some(_)) => self.odd = Some("changes its edit rate"),
            _ => self.odd = Some("has a resource of unknown length"),
        }
    }

    /// Its length in edit units, and their rate.
    fn length(&self) -> Option<(u64, String)> {
        if self.odd.is_some() { None } else { Some((self.units, self.rate.clone()?)) }
    }

    fn item(&self, id: &str) -> Result<ValueMap, ImportError> {
        let mut item = ValueMap::new();
        item.insert("track".into(), id.into());
        item.insert("kind".into(), self.kind.clone().into());
        if let Some((units, rate)) = self.length() {
            item.insert("edit_rate".into(), rate.into());
            item.insert("duration".into(), Value::number(&units.to_string())?);
        }
        if !self.files.is_empty() {
            let files = self.files.iter().map(|file| Value::from(file.as_str()));
            item.insert("files".into(), Value::set_of(files)?);
        }
        Ok(item)
    }
}

/// Edit units as an ISO 8601 duration, where decimal seconds say it exactly.
fn seconds(units: u64, rate: &str) -> Option<String> {
    let (top, bottom) = rate.split_once('/')?;
    let (top, bottom): (u64, u64) = (top.parse().ok()?, bottom.parse().ok()?);
    let (units, per) = (units.checked_mul(bottom)?, top);
    let divisor = gcd(units, per).max(1);
    let (units, per) = (units / divisor, per / divisor);
    let scale = (0..=9).map(|digits| 10_u64.pow(digits)).find(|scale| scale.is_multiple_of(per))?;
    let parts = units.checked_mul(scale / per)?;
    let (whole, part) = (parts / scale, parts % scale);
    let (hours, minutes, second) = (whole / 3600, whole / 60 % 60, whole % 60);
    let mut text = "PT".to_owned();
    for (number, unit) in [(hours, 'H'), (minutes, 'M')] {
        if number > 0 {
            text.push_str(&format!("{number}{unit}"));
        }
    }
    if part > 0 {
        let digits = scale.ilog10() as usize;
        text.push_str(&format!("{second}.{part:0digits$}S"));
    } else if second > 0 || text == "PT" {
        text.push_str(&format!("{second}S"));
    }
    Some(text)
}

/// The track files a composition refers to.
fn files_of(document: &Value) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    if let Some(Value::Keyed(tracks)) = document.get(&FieldPath::root().key("tracks")) {
        for (_, item) in tracks.iter() {
            if let Value::Map(item) = item
                && let Some(Value::Set(set)) = item.get("files")
            {
                files.extend(set.iter().filter_map(|file| match file {
                    Value::String(file) => Some(file.clone()),
                    _ => None,
                }));
            }
        }
    }
    files
}

/// Reads a file of a package as a whole.
fn whole(package: &mut dyn Package, path: &str) -> Result<Option<Vec<u8>>, ImportError> {
    let unread = |error: std::io::Error| ImportError::Malformed {
        syntax: "an IMF package",
        line: 0,
        why: format!("`{path}` cannot be read: {error}"),
    };
    let Some(reader) = package.open(path).map_err(unread)? else { return Ok(None) };
    let mut bytes = Vec::new();
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unread)?;
    Ok(Some(bytes))
}

/// Whether a path stays in its folder.
fn is_inside(path: &str) -> bool {
    let plain = |step: &str| !matches!(step, "" | "." | "..") && !step.contains(['\\', ':', '\0']);
    path.split('/').all(plain)
}

fn error(code: &'static str, element: &Element, why: String) -> Finding {
    found(code, local(&element.name), element.line, why)
}

fn found(code: &'static str, element: &str, line: u64, why: String) -> Finding {
    Finding { severity: Severity::Error, code, line, element: element.to_owned(), why }
}

fn local(name: &str) -> &str {
    let name = crate::tree::split(name).map_or(name, |(_, local)| local);
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

fn child<'e>(element: &'e Element, name: &str) -> Option<&'e Element> {
    element.children().find(|child| local(&child.name) == name)
}

fn text_of(element: &Element, name: &str) -> String {
    child(element, name).map(Element::text).unwrap_or_default()
}

/// The elements down a path of names, `*` for any.
fn below<'e>(element: &'e Element, path: &[&str]) -> Vec<&'e Element> {
    path.iter().fold(vec![element], |at, name| {
        let named = |child: &&Element| *name == "*" || local(&child.name) == *name;
        at.into_iter().flat_map(|element| element.children().filter(named)).collect()
    })
}

fn uuid(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    lower.strip_prefix("urn:uuid:").unwrap_or(&lower).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact_or_not_told() {
        assert_eq!(seconds(24, "24000/1001").as_deref(), Some("PT1.001S"));
        assert_eq!(seconds(100, "24000/1001"), None);
        assert_eq!(seconds(135_000, "25/1").as_deref(), Some("PT1H30M"));
        assert_eq!(seconds(0, "25/1").as_deref(), Some("PT0S"));
        assert_eq!(seconds(u64::MAX, "1/3"), None);
        assert_eq!(seconds(1, "0/1"), None);
    }

    #[test]
    fn paths_stay_in_the_package() {
        for good in ["a.mxf", "media/a b.mxf"] {
            assert!(is_inside(good), "{good}");
        }
        for bad in ["", "/etc/passwd", "../a", "a/../b", "a//b", "C:/a", "a\\b", "http://a"] {
            assert!(!is_inside(bad), "{bad}");
        }
    }
}
