//! References from metadata to media.

use bincode::{Decode, Encode};

use crate::id::ContentId;
use crate::value::MAX_KEY_BYTES;

/// A reference to media by content; the media need not be in the same tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct AssetRef {
    /// BLAKE3 of all its bytes.
    pub digest: ContentId,
    /// Its media type, such as `image/jpeg`; compared byte by byte.
    pub media_type: String,
    /// Its length in bytes.
    pub size: u64,
    /// What it is for, such as `poster`.
    pub role: Option<String>,
}

impl AssetRef {
    /// Returns the rule it breaks.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let named = self.media_type.split_once('/').is_some_and(|(class, format)| {
            !class.is_empty() && !format.is_empty() && !format.contains(['/', ':'])
        });
        let plain = self.media_type.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let role = self.role.as_deref().unwrap_or("-");
        if !named || !plain || self.media_type.len() > MAX_KEY_BYTES {
            Some("a media type is `TYPE/SUBTYPE` in ASCII without colon, at most 255 bytes")
        } else if role.is_empty() || role.len() > MAX_KEY_BYTES {
            Some("the role of an asset is 1 to 255 bytes")
        } else {
            None
        }
    }
}
