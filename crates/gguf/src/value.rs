use std::io::Read;

use crate::error::{Error, ErrorKind};
use crate::reader::Reader;

/// One metadata value, in the type in which the file stores it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Unsigned, 8 bits.
    U8(u8),
    /// Signed, 8 bits.
    I8(i8),
    /// Unsigned, 16 bits.
    U16(u16),
    /// Signed, 16 bits.
    I16(i16),
    /// Unsigned, 32 bits.
    U32(u32),
    /// Signed, 32 bits.
    I32(i32),
    /// Unsigned, 64 bits.
    U64(u64),
    /// Signed, 64 bits.
    I64(i64),
    /// Floating point, 32 bits.
    F32(f32),
    /// Floating point, 64 bits.
    F64(f64),
    /// True or false.
    Bool(bool),
    /// Text.
    Str(Box<str>),
    /// Elements of one type.
    Array(Array),
}

/// An array value; its elements are packed as in the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Array {
    /// Unsigned, 8 bits.
    U8(Box<[u8]>),
    /// Signed, 8 bits.
    I8(Box<[i8]>),
    /// Unsigned, 16 bits.
    U16(Box<[u16]>),
    /// Signed, 16 bits.
    I16(Box<[i16]>),
    /// Unsigned, 32 bits.
    U32(Box<[u32]>),
    /// Signed, 32 bits.
    I32(Box<[i32]>),
    /// Unsigned, 64 bits.
    U64(Box<[u64]>),
    /// Signed, 64 bits.
    I64(Box<[i64]>),
    /// Floating point, 32 bits.
    F32(Box<[f32]>),
    /// Floating point, 64 bits.
    F64(Box<[f64]>),
    /// True or false.
    Bool(Box<[bool]>),
    /// Texts.
    Strings(Strings),
}

/// Many strings in one allocation: a vocabulary has a hundred thousand short ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Strings {
    text: Box<str>,
    ends: Box<[u32]>,
}

impl Strings {
    /// How many strings there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The string at `index`, or nothing when there are fewer.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)? as usize;
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        self.text.get(start..end)
    }

    /// All strings in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|index| self.get(index).unwrap_or_default())
    }
}

impl Array {
    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::U8(items) => items.len(),
            Self::I8(items) => items.len(),
            Self::U16(items) => items.len(),
            Self::I16(items) => items.len(),
            Self::U32(items) => items.len(),
            Self::I32(items) => items.len(),
            Self::U64(items) => items.len(),
            Self::I64(items) => items.len(),
            Self::F32(items) => items.len(),
            Self::F64(items) => items.len(),
            Self::Bool(items) => items.len(),
            Self::Strings(items) => items.len(),
        }
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements' type as llama.cpp abbreviates it, for example `i32`.
    #[must_use]
    pub fn element_name(&self) -> &'static str {
        match self {
            Self::U8(_) => "u8",
            Self::I8(_) => "i8",
            Self::U16(_) => "u16",
            Self::I16(_) => "i16",
            Self::U32(_) => "u32",
            Self::I32(_) => "i32",
            Self::U64(_) => "u64",
            Self::I64(_) => "i64",
            Self::F32(_) => "f32",
            Self::F64(_) => "f64",
            Self::Bool(_) => "bool",
            Self::Strings(_) => "str",
        }
    }

    /// The element at `index` as a count; nothing for negative numbers and for other types.
    #[must_use]
    pub fn u64(&self, index: usize) -> Option<u64> {
        match self {
            Self::U8(items) => items.get(index).map(|&item| u64::from(item)),
            Self::U16(items) => items.get(index).map(|&item| u64::from(item)),
            Self::U32(items) => items.get(index).map(|&item| u64::from(item)),
            Self::U64(items) => items.get(index).copied(),
            Self::I8(items) => items.get(index).and_then(|&item| u64::try_from(item).ok()),
            Self::I16(items) => items.get(index).and_then(|&item| u64::try_from(item).ok()),
            Self::I32(items) => items.get(index).and_then(|&item| u64::try_from(item).ok()),
            Self::I64(items) => items.get(index).and_then(|&item| u64::try_from(item).ok()),
            Self::Bool(items) => items.get(index).map(|&item| u64::from(item)),
            Self::F32(_) | Self::F64(_) | Self::Strings(_) => None,
        }
    }

    fn read<R: Read>(reader: &mut Reader<R>) -> Result<Self, Error> {
        let start = reader.position();
        let kind = reader.u32()?;
        let count = reader.u64()?;
        Ok(match kind {
            0 => Self::U8(reader.elements(count, u8::from_le_bytes)?),
            1 => Self::I8(reader.elements(count, i8::from_le_bytes)?),
            2 => Self::U16(reader.elements(count, u16::from_le_bytes)?),
            3 => Self::I16(reader.elements(count, i16::from_le_bytes)?),
            4 => Self::U32(reader.elements(count, u32::from_le_bytes)?),
            5 => Self::I32(reader.elements(count, i32::from_le_bytes)?),
            6 => Self::F32(reader.elements(count, f32::from_le_bytes)?),
            7 => Self::Bool(read_bools(reader, count)?),
            8 => Self::Strings(read_strings(reader, count)?),
            // llama.cpp refuses nested arrays too, so nothing that could be loaded is lost.
            9 => return Err(Error::unsupported("an array of arrays is not supported").at(start)),
            10 => Self::U64(reader.elements(count, u64::from_le_bytes)?),
            11 => Self::I64(reader.elements(count, i64::from_le_bytes)?),
            12 => Self::F64(reader.elements(count, f64::from_le_bytes)?),
            other => return Err(unknown_type(other).at(start)),
        })
    }
}

impl Value {
    /// The value as a count; nothing for negative numbers and for other types.
    #[must_use]
    pub fn u64(&self) -> Option<u64> {
        match *self {
            Self::U8(value) => Some(value.into()),
            Self::U16(value) => Some(value.into()),
            Self::U32(value) => Some(value.into()),
            Self::U64(value) => Some(value),
            Self::I8(value) => value.try_into().ok(),
            Self::I16(value) => value.try_into().ok(),
            Self::I32(value) => value.try_into().ok(),
            Self::I64(value) => value.try_into().ok(),
            _ => None,
        }
    }

    /// The value as a floating-point number; only for `f32` and `f64`.
    #[must_use]
    pub fn f64(&self) -> Option<f64> {
        match *self {
            Self::F32(value) => Some(value.into()),
            Self::F64(value) => Some(value),
            _ => None,
        }
    }

    /// The value as text.
    #[must_use]
    pub fn str(&self) -> Option<&str> {
        match self {
            Self::Str(value) => Some(value),
            _ => None,
        }
    }

    /// The type as llama.cpp abbreviates it, for example `u32` or `arr[str]`.
    #[must_use]
    pub fn type_name(&self) -> String {
        match self {
            Self::U8(_) => "u8".into(),
            Self::I8(_) => "i8".into(),
            Self::U16(_) => "u16".into(),
            Self::I16(_) => "i16".into(),
            Self::U32(_) => "u32".into(),
            Self::I32(_) => "i32".into(),
            Self::U64(_) => "u64".into(),
            Self::I64(_) => "i64".into(),
            Self::F32(_) => "f32".into(),
            Self::F64(_) => "f64".into(),
            Self::Bool(_) => "bool".into(),
            Self::Str(_) => "str".into(),
            Self::Array(array) => format!("arr[{}]", array.element_name()),
        }
    }

    pub(crate) fn read<R: Read>(reader: &mut Reader<R>) -> Result<Self, Error> {
        let start = reader.position();
        Ok(match reader.u32()? {
            0 => Self::U8(reader.array().map(u8::from_le_bytes)?),
            1 => Self::I8(reader.array().map(i8::from_le_bytes)?),
            2 => Self::U16(reader.array().map(u16::from_le_bytes)?),
            3 => Self::I16(reader.array().map(i16::from_le_bytes)?),
            4 => Self::U32(reader.u32()?),
            5 => Self::I32(reader.array().map(i32::from_le_bytes)?),
            6 => Self::F32(reader.array().map(f32::from_le_bytes)?),
            7 => Self::Bool(read_bool(reader)?),
            8 => Self::Str(reader.string()?),
            9 => Self::Array(Array::read(reader)?),
            10 => Self::U64(reader.u64()?),
            11 => Self::I64(reader.array().map(i64::from_le_bytes)?),
            12 => Self::F64(reader.array().map(f64::from_le_bytes)?),
            other => return Err(unknown_type(other).at(start)),
        })
    }
}

fn unknown_type(found: u32) -> Error {
    Error::corrupt(format!("value type {found} does not exist"))
}

fn as_bool(byte: u8, offset: u64) -> Result<bool, Error> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Error::corrupt(format!("a bool must be 0 or 1 but is {other}")).at(offset)),
    }
}

fn read_bool<R: Read>(reader: &mut Reader<R>) -> Result<bool, Error> {
    let offset = reader.position();
    let [byte] = reader.array()?;
    as_bool(byte, offset)
}

fn read_bools<R: Read>(reader: &mut Reader<R>, count: u64) -> Result<Box<[bool]>, Error> {
    let offset = reader.position();
    let bytes = reader.elements(count, u8::from_le_bytes)?;
    bytes.iter().zip(offset..).map(|(&byte, offset)| as_bool(byte, offset)).collect()
}

fn read_strings<R: Read>(reader: &mut Reader<R>, count: u64) -> Result<Strings, Error> {
    let start = reader.position();
    let too_large = || Error::new(ErrorKind::TooLarge, format!("{count} strings are too many")).at(start);
    // Every string has a length field of eight bytes, so a count that passes here fits into memory.
    reader
        .require(count.checked_mul(8).ok_or_else(too_large)?)
        .map_err(|error| error.within(format_args!("an array of {count} strings")))?;
    let mut text = Vec::new();
    let mut ends = Vec::with_capacity(usize::try_from(count).map_err(|_| too_large())?);
    for index in 0..count {
        reader.append_string(&mut text).map_err(|error| error.within(format_args!("element {index}")))?;
        ends.push(u32::try_from(text.len()).map_err(|_| too_large())?);
    }
    let text =
        String::from_utf8(text).map_err(|_| Error::corrupt("a string is not valid UTF-8").at(start))?;
    Ok(Strings { text: text.into_boxed_str(), ends: ends.into_boxed_slice() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Value, Error> {
        Value::read(&mut Reader::new(bytes, bytes.len() as u64))
    }

    fn array_of(kind: u32, count: u64, rest: &[u8]) -> Vec<u8> {
        let mut bytes = 9_u32.to_le_bytes().to_vec();
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(rest);
        bytes
    }

    #[test]
    fn refuses_an_array_whose_count_the_file_cannot_hold() {
        for kind in [0, 5, 7, 8, 12] {
            for count in [3, 1 << 40, u64::MAX] {
                let error = read(&array_of(kind, count, &[0, 0])).unwrap_err();
                assert!(
                    matches!(error.kind, ErrorKind::Truncated | ErrorKind::TooLarge),
                    "{kind} {count}: {error}"
                );
            }
        }
    }

    #[test]
    fn refuses_arrays_inside_arrays_and_unknown_types() {
        assert_eq!(read(&array_of(9, 0, &[])).unwrap_err().kind, ErrorKind::Unsupported);
        assert_eq!(read(&array_of(13, 0, &[])).unwrap_err().kind, ErrorKind::Corrupt);
        assert_eq!(read(&[99, 0, 0, 0]).unwrap_err().kind, ErrorKind::Corrupt);
    }

    #[test]
    fn refuses_a_bool_that_is_neither_0_nor_1_and_tells_where() {
        assert_eq!(read(&[7, 0, 0, 0, 2]).unwrap_err().offset, Some(4));
        assert_eq!(read(&array_of(7, 3, &[0, 1, 9])).unwrap_err().offset, Some(18));
    }

    #[test]
    fn keeps_strings_apart_including_empty_ones() {
        let mut rest = Vec::new();
        for text in ["ab", "", "ü"] {
            rest.extend((text.len() as u64).to_le_bytes());
            rest.extend(text.as_bytes());
        }
        let Value::Array(Array::Strings(strings)) = read(&array_of(8, 3, &rest)).unwrap() else {
            panic!("an array of strings");
        };
        assert_eq!(strings.iter().collect::<Vec<_>>(), ["ab", "", "ü"]);
        assert_eq!(strings.get(3), None);
    }

    #[test]
    fn reads_a_negative_number_as_no_count() {
        assert_eq!(read(&[5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).unwrap().u64(), None);
    }
}
