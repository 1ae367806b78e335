//! Whether a file somebody has is the one that a proof is about.
//!
//! The whole file is compared by its content id, which the commit names. A piece of it can only be
//! compared by its chunks, which the repository's manifest names; see `docs/format-proof.md`.

use std::io::{self, Read};

use ottvc_object::value::Document;
use ottvc_object::{ChunkId, ContentId, Entry, Storable};

use super::{ChunkPart, Proved, Serialize, span};
use crate::RepoError;

/// Documents are read into memory: the longest JSON of one that is read.
const MAX_DOCUMENT_BYTES: u64 = 64 << 20;

/// How a file compares with a proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Whether it is what the proof is about.
    pub verdict: Verdict,
    /// Where the first chunk that differs begins and how long it is, where that is known.
    pub differs: Option<crate::content::ByteSpan>,
    /// What differs, in words.
    pub why: Option<String>,
}

/// Whether a file is what a proof is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The whole file or document, as the commit names it.
    Whole,
    /// Exactly the bytes of the chunks, as the manifest names them.
    Piece,
    /// Something else.
    Different,
}

impl Compared {
    /// Whether nothing about it speaks against the proof.
    pub fn holds(&self) -> bool {
        self.verdict != Verdict::Different && self.differs.is_none()
    }
    fn same(verdict: Verdict) -> Self {
        Self { verdict, differs: None, why: None }
    }
    fn different(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Different, differs: None, why: Some(why.into()) }
    }
}

impl Proved {
    /// Compares `media`, `len` bytes long, with what is proved. Reads it once; memory does not grow
    /// with it.
    ///
    /// # Errors
    /// [`RepoError::WrongKind`] for a proof about a folder or conflict; [`RepoError::Content`] if
    /// `media` cannot be read.
    pub fn compare(&self, media: impl Read, len: u64) -> Result<Compared, RepoError> {
        if let Some(id) = self.document() {
            return compare_document(id, media, len);
        }
        let Entry::File(file) = self.entry else {
            return Err(RepoError::WrongKind {
                path: self.path.clone(),
                wanted: "file or document, so there is nothing to compare",
            });
        };
        let reading = |source| crate::content::ContentError::Read { source }.into();
        let span = span(&self.list);
        if len == file.len {
            return compare_whole(&self.list, file.content, media).map_err(reading);
        }
        let piece = span.end.saturating_sub(span.start);
        if !self.list.is_empty() && len == piece {
            let mut hashing = Hashing { media, whole: None };
            return Ok(match hashing.chunks(&self.list).map_err(reading)? {
                None => Compared::same(Verdict::Piece),
                Some(chunk) => chunk_differs(chunk),
            });
        }
        let or_piece = match self.list.is_empty() || piece == file.len {
            true => String::new(),
            false => format!(", and the piece from {} on has {piece}", span.start),
        };
        Ok(Compared::different(format!("it has {len} bytes; the file has {}{or_piece}", file.len)))
    }
}

fn chunk_differs(chunk: ChunkPart) -> Compared {
    let span = crate::content::ByteSpan { offset: chunk.offset, length: chunk.length.into() };
    let why = format!("the {} bytes from {} on are others", span.length, span.offset);
    Compared { differs: Some(span), ..Compared::different(why) }
}

fn compare_whole(list: &[ChunkPart], content: ContentId, media: impl Read) -> io::Result<Compared> {
    let mut hashing = Hashing { media, whole: Some(blake3::Hasher::new()) };
    hashing.skip(span(list).start)?;
    let differs = hashing.chunks(list)?;
    hashing.skip(u64::MAX)?;
    let found = hashing.whole.map(|hasher| ContentId(*hasher.finalize().as_bytes()));
    Ok(match (found == Some(content), differs) {
        (true, None) => Compared::same(Verdict::Whole),
        // The commit names the content id, and nobody but the repository the chunks.
        (true, Some(chunk)) => {
            let why = "it is that file, and the manifest lists other chunks".to_owned();
            Compared { verdict: Verdict::Whole, why: Some(why), ..chunk_differs(chunk) }
        }
        (false, Some(chunk)) => chunk_differs(chunk),
        (false, None) => Compared::different("it hashes to another content id"),
    })
}

fn compare_document(
    id: ottvc_object::DocumentId,
    media: impl Read,
    len: u64,
) -> Result<Compared, RepoError> {
    if len > MAX_DOCUMENT_BYTES {
        return Ok(Compared::different("no document is that long"));
    }
    let mut bytes = Vec::new();
    media
        .take(MAX_DOCUMENT_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|source| crate::content::ContentError::Read { source })?;
    let found = Document::from_json(&bytes).and_then(|document| document.to_object());
    Ok(match found {
        Ok(object) if object.id() == id.into() => Compared::same(Verdict::Whole),
        Ok(_) => Compared::different("it is a document with another value"),
        Err(error) => Compared::different(format!("it is no document: {error}")),
    })
}

/// Reads a file, hashing the whole and each chunk as it goes.
struct Hashing<R> {
    media: R,
    whole: Option<blake3::Hasher>,
}

impl<R: Read> Hashing<R> {
    fn skip(&mut self, len: u64) -> io::Result<()> {
        self.read(len, &mut |_| {}).map(drop)
    }

    /// Returns the first chunk whose bytes are others.
    fn chunks(&mut self, list: &[ChunkPart]) -> io::Result<Option<ChunkPart>> {
        for chunk in list {
            let mut hasher = blake3::Hasher::new();
            let read = self.read(chunk.length.into(), &mut |bytes| {
                hasher.update(bytes);
            })?;
            let found = ChunkId(*hasher.finalize().as_bytes());
            if read != u64::from(chunk.length) || found.0 != chunk.id.0 {
                return Ok(Some(*chunk));
            }
        }
        Ok(None)
    }

    /// Reads `len` bytes, or as many as there are; a proof may claim any length.
    fn read(&mut self, len: u64, sink: &mut dyn FnMut(&[u8])) -> io::Result<u64> {
        let mut buffer = [0; 1 << 14];
        let mut left = len;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let read = match self.media.read(buffer.get_mut(..wanted).unwrap_or_default()) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let bytes = buffer.get(..read).unwrap_or_default();
            if let Some(whole) = &mut self.whole {
                whole.update(bytes);
            }
            sink(bytes);
            left = left.saturating_sub(read as u64);
        }
        Ok(len - left)
    }
}
