//! The canonical bytes of values: one kind byte, then the content.

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::value::depth::Level;
use crate::value::{Value, ValueMap};

const NULL: u8 = 0;
const BOOL: u8 = 1;
const INT: u8 = 2;
const DECIMAL: u8 = 3;
const STRING: u8 = 4;
const TEXT: u8 = 5;
const TIMESTAMP: u8 = 6;
const ASSET: u8 = 7;
const ARRAY: u8 = 8;
const SET: u8 = 9;
const KEYED: u8 = 10;
const MAP: u8 = 11;
const LOCALIZED: u8 = 12;
const CONFLICT: u8 = 13;

impl Value {
    /// The number of its kind: the first of its canonical bytes, never changed or reused.
    pub fn kind_number(&self) -> u8 {
        match self {
            Self::Null => NULL,
            Self::Bool(_) => BOOL,
            Self::Int(_) => INT,
            Self::Decimal(_) => DECIMAL,
            Self::String(_) => STRING,
            Self::Text(_) => TEXT,
            Self::Timestamp(_) => TIMESTAMP,
            Self::Asset(_) => ASSET,
            Self::Array(_) => ARRAY,
            Self::Set(_) => SET,
            Self::Keyed(_) => KEYED,
            Self::Map(_) => MAP,
            Self::Localized(_) => LOCALIZED,
            Self::Conflict(_) => CONFLICT,
        }
    }
}

impl Encode for Value {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.kind_number().encode(encoder)?;
        match self {
            Self::Null => Ok(()),
            Self::Bool(flag) => flag.encode(encoder),
            Self::Int(number) => number.encode(encoder),
            Self::Decimal(number) => number.encode(encoder),
            Self::String(text) | Self::Text(text) => text.encode(encoder),
            Self::Timestamp(stamp) => stamp.encode(encoder),
            Self::Asset(asset) => asset.encode(encoder),
            Self::Array(elements) => elements.encode(encoder),
            Self::Set(set) => set.encode(encoder),
            Self::Keyed(list) => list.encode(encoder),
            Self::Map(map) | Self::Localized(map) => map.encode(encoder),
            Self::Conflict(conflict) => conflict.encode(encoder),
        }
    }
}

impl<C> Decode<C> for Value {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let kind = u8::decode(decoder)?;
        if kind == CONFLICT {
            return Ok(Self::Conflict(Box::decode(decoder)?));
        }
        let _level = Level::value()?;
        Ok(match kind {
            NULL => Self::Null,
            BOOL => Self::Bool(Decode::decode(decoder)?),
            INT => Self::Int(Decode::decode(decoder)?),
            DECIMAL => Self::Decimal(Decode::decode(decoder)?),
            STRING => Self::String(Decode::decode(decoder)?),
            TEXT => Self::Text(Decode::decode(decoder)?),
            TIMESTAMP => Self::Timestamp(Decode::decode(decoder)?),
            ASSET => Self::Asset(Decode::decode(decoder)?),
            ARRAY => Self::Array(Decode::decode(decoder)?),
            SET => Self::Set(Decode::decode(decoder)?),
            KEYED => Self::Keyed(Decode::decode(decoder)?),
            MAP => Self::Map(decode_map(decoder)?),
            LOCALIZED => Self::Localized(decode_map(decoder)?),
            _ => return Err(DecodeError::Other("a value of unknown kind")),
        })
    }
}
bincode::impl_borrow_decode!(Value);

/// Reads a map; bincode's own would put keys in order and drop doubles without a word.
fn decode_map<C, D: Decoder<Context = C>>(decoder: &mut D) -> Result<ValueMap, DecodeError> {
    let count = u64::decode(decoder)?;
    let mut map = ValueMap::new();
    for _ in 0..count {
        decoder.claim_bytes_read(size_of::<(String, Value)>())?;
        let key = String::decode(decoder)?;
        if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(DecodeError::Other("keys of a map out of order"));
        }
        map.insert(key, Value::decode(decoder)?);
    }
    Ok(map)
}
