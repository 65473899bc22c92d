//! The model files of the stand-in: the outer format of `.rkllm`, with a GGUF or a script inside.
//!
//! All numbers are little-endian. The outer format is that of GGUF 3 under another magic, so that a reader
//! of real `.rkllm` files finds one key and one tensor. Real files mask their strings; this one does not,
//! which tells them apart beyond doubt.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | magic `DA EE B3 36` |
//! | 4 | 4 | version, 3 |
//! | 8 | 8 | tensors, 1 |
//! | 16 | 8 | keys, 1 |
//! | 24 | 8 + 16 | the key: its length and `rkllmjs.stand-in` |
//! | 48 | 4 | type of its value, 8 (string) |
//! | 52 | 8 | length of its value, 36 |
//! | 60 | 4 | version of this layout, 1 |
//! | 64 | 8 | kind: `gguf` or `scripted`, filled with 0 |
//! | 72 | 4 | limit of the context in tokens; 0 for what the GGUF says |
//! | 76 | 4 | NPU cores that the model was converted for |
//! | 80 | 4 | platform: 0 RK3588, 1 RK3576, 2 RK3562, 3 RV1126B |
//! | 84 | 4 | version of the toolkit: 0, major, minor, patch from the highest byte to the lowest |
//! | 88 | 8 | 0 |
//! | 96 | 8 + 8 | the tensor: length of its name and `contents` |
//! | 112 | 4 | rank, 1 |
//! | 116 | 8 | its only dimension: bytes of the contents |
//! | 124 | 4 | type, 24 (8-bit integers) |
//! | 128 | 8 | offset of the contents from 160, where the tensors begin: 3936 |
//! | 136 | | zeros |
//! | 4096 | | the contents: a whole GGUF (a model or an adapter), or the UTF-8 text that a scripted model says |
//! | end | | the footer `rkllm-toolkit version: X.Y.Z` |

mod contents;

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

pub(crate) use contents::{Contents, Extracted};

use crate::Failure;

/// The first four bytes of an `.rkllm` file.
pub const MAGIC: [u8; 4] = [0xDA, 0xEE, 0xB3, 0x36];
/// Where the contents begin.
pub const CONTENTS_OFFSET: u64 = 4096;

const OUTER_VERSION: u32 = 3;
const LAYOUT_VERSION: u32 = 1;
const KEY: &[u8; 16] = b"rkllmjs.stand-in";
const TENSOR: &[u8; 8] = b"contents";
const TYPE_STRING: u32 = 8;
const TYPE_I8: u32 = 24;
const VALUE_BYTES: u64 = 36;
const TENSORS_OFFSET: u64 = 160;
const HEADER_BYTES: usize = 136;

/// The chip a model is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Platform {
    /// RK3588.
    #[default]
    Rk3588,
    /// RK3576.
    Rk3576,
    /// RK3562.
    Rk3562,
    /// RV1126B.
    Rv1126b,
}

impl Platform {
    const ALL: [Self; 4] = [Self::Rk3588, Self::Rk3576, Self::Rk3562, Self::Rv1126b];

    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rk3588 => "rk3588",
            Self::Rk3576 => "rk3576",
            Self::Rk3562 => "rk3562",
            Self::Rv1126b => "rv1126b",
        }
    }

    /// The platform of that name in lower case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|platform| platform.name() == name)
    }
}

/// What the contents are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A GGUF file.
    Gguf,
    /// The text that a scripted model says; empty for its default.
    Scripted,
}

impl Kind {
    const fn bytes(self) -> &'static [u8; 8] {
        match self {
            Self::Gguf => b"gguf\0\0\0\0",
            Self::Scripted => b"scripted",
        }
    }
}

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the contents are.
    pub kind: Kind,
    /// Limit of the context in tokens; 0 for what the GGUF says.
    pub max_context: u32,
    /// NPU cores that the model was converted for.
    pub npu_cores: u32,
    /// The chip.
    pub platform: Platform,
    /// Version of the toolkit.
    pub toolkit: (u8, u8, u8),
}

impl Header {
    /// A header for contents of this kind, with the most common values.
    pub const fn new(kind: Kind) -> Self {
        Self { kind, max_context: 0, npu_cores: 1, platform: Platform::Rk3588, toolkit: (1, 2, 1) }
    }

    /// Writes the header, padding included, for so many bytes of contents.
    fn to_bytes(self, contents_bytes: u64) -> Vec<u8> {
        let (major, minor, patch) = self.toolkit;
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(OUTER_VERSION.to_le_bytes());
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend(16_u64.to_le_bytes());
        bytes.extend(KEY);
        bytes.extend(TYPE_STRING.to_le_bytes());
        bytes.extend(VALUE_BYTES.to_le_bytes());
        bytes.extend(LAYOUT_VERSION.to_le_bytes());
        bytes.extend(self.kind.bytes());
        bytes.extend(self.max_context.to_le_bytes());
        bytes.extend(self.npu_cores.to_le_bytes());
        bytes.extend((self.platform as u32).to_le_bytes());
        bytes.extend([patch, minor, major, 0]);
        bytes.extend(0_u64.to_le_bytes());
        bytes.extend(8_u64.to_le_bytes());
        bytes.extend(TENSOR);
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(contents_bytes.to_le_bytes());
        bytes.extend(TYPE_I8.to_le_bytes());
        bytes.extend((CONTENTS_OFFSET - TENSORS_OFFSET).to_le_bytes());
        bytes.resize(usize::try_from(CONTENTS_OFFSET).unwrap_or(HEADER_BYTES), 0);
        bytes
    }

    /// Reads a header; its file's bytes of contents beside it.
    fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<(Self, u64), Failure> {
        if bytes.get(..4) != Some(&MAGIC) {
            return Err(Failure::new("invalid rkllm model: invalid magic characters"));
        }
        let field = |at| u32_at(bytes, at);
        let foreign = field(4) != OUTER_VERSION
            || u64_at(bytes, 24) != 16
            || bytes.get(32..48) != Some(KEY)
            || field(60) != LAYOUT_VERSION;
        if foreign {
            let message = "invalid rkllm model: the stand-in reads files made by standin-model only";
            return Err(Failure::new(message));
        }
        let kinds = [Kind::Gguf, Kind::Scripted];
        let kind = kinds.into_iter().find(|kind| bytes.get(64..72) == Some(kind.bytes()));
        let platform = usize::try_from(field(80)).ok().and_then(|n| Platform::ALL.get(n).copied());
        let (Some(kind), Some(platform)) = (kind, platform) else {
            return Err(Failure::new("invalid rkllm model: unsupported model architecture"));
        };
        let [patch, minor, major, _] = field(84).to_le_bytes();
        let header = Self {
            kind,
            max_context: field(72),
            npu_cores: field(76),
            platform,
            toolkit: (major, minor, patch),
        };
        Ok((header, u64_at(bytes, 116)))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let eight = bytes.get(at..at + 8).and_then(|eight| eight.try_into().ok());
    eight.map_or(0, u64::from_le_bytes)
}

/// Opens a file and reads its header; the contents are what follows, with their length.
pub(crate) fn open(path: &Path) -> Result<(Header, Contents), Failure> {
    let cannot = |e: io::Error| Failure::new(format!("failed to open model {}: {e}", path.display()));
    let mut file = File::open(path).map_err(cannot)?;
    let mut bytes = [0; HEADER_BYTES];
    let mut have = 0;
    while have < HEADER_BYTES {
        match file.read(bytes.get_mut(have..).unwrap_or_default()).map_err(cannot)? {
            0 => break,
            read => have += read,
        }
    }
    let (header, length) = Header::parse(&bytes)?;
    let have = file.metadata().map_err(cannot)?.len();
    if CONTENTS_OFFSET.checked_add(length).is_none_or(|end| end > have) {
        let message = format!("invalid rkllm model: {} ends before its contents do", path.display());
        return Err(Failure::new(message));
    }
    file.seek(io::SeekFrom::Start(CONTENTS_OFFSET)).map_err(cannot)?;
    Ok((header, Contents::new(file, length)))
}

/// Opens an adapter's file: one of ours, or a plain GGUF.
pub(crate) fn open_adapter(path: &Path) -> Result<(Header, Contents), Failure> {
    let cannot = |e: io::Error| Failure::new(format!("failed to open adapter {}: {e}", path.display()));
    let mut file = File::open(path).map_err(cannot)?;
    let mut magic = [0; 4];
    if file.read_exact(&mut magic).is_err() || &magic != b"GGUF" {
        return open(path);
    }
    file.rewind().map_err(cannot)?;
    let length = file.metadata().map_err(cannot)?.len();
    Ok((Header::new(Kind::Gguf), Contents::new(file, length)))
}

/// Writes a model file of `contents` under `header`.
///
/// # Errors
///
/// When reading or writing fails.
pub fn write(header: Header, contents: &mut impl Read, length: u64, out: &Path) -> io::Result<()> {
    let mut file = File::create(out)?;
    file.write_all(&header.to_bytes(length))?;
    let copied = io::copy(&mut contents.take(length), &mut file)?;
    if copied != length {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the contents are shorter than said"));
    }
    let (major, minor, patch) = header.toolkit;
    write!(file, "rkllm-toolkit version: {major}.{minor}.{patch}")?;
    file.flush()
}

/// Makes a model file of a GGUF file, a model or an adapter.
///
/// # Errors
///
/// When reading or writing fails.
pub fn wrap(gguf: &Path, out: &Path) -> io::Result<()> {
    wrap_with(Header::new(Kind::Gguf), gguf, out)
}

/// Makes a model file of a GGUF file under a header of the caller's.
///
/// # Errors
///
/// When reading or writing fails.
pub fn wrap_with(header: Header, gguf: &Path, out: &Path) -> io::Result<()> {
    let mut contents = File::open(gguf)?;
    let length = contents.metadata()?.len();
    write(header, &mut contents, length, out)
}

/// Makes a model file that needs no model and says `text`; nothing for its default.
///
/// # Errors
///
/// When writing fails.
pub fn write_scripted(text: &str, out: &Path) -> io::Result<()> {
    let header = Header { max_context: 4096, ..Header::new(Kind::Scripted) };
    write(header, &mut text.as_bytes(), text.len() as u64, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_as_it_was_written() {
        let header = Header {
            kind: Kind::Scripted,
            max_context: 2048,
            npu_cores: 3,
            platform: Platform::Rk3576,
            toolkit: (1, 2, 9),
        };
        let bytes = header.to_bytes(77);
        assert_eq!(bytes.len() as u64, CONTENTS_OFFSET);
        let first = bytes.first_chunk().copied();
        assert_eq!(first.map(|first| Header::parse(&first)), Some(Ok((header, 77))));
    }

    #[test]
    fn the_fields_lie_where_the_table_says() {
        let bytes = Header { max_context: 0x1234, ..Header::new(Kind::Gguf) }.to_bytes(99);
        assert_eq!(bytes.get(32..48), Some(KEY.as_slice()));
        assert_eq!(bytes.get(64..68), Some(b"gguf".as_slice()));
        assert_eq!(u32_at(&bytes, 72), 0x1234);
        assert_eq!(bytes.get(104..112), Some(TENSOR.as_slice()));
        assert_eq!((u64_at(&bytes, 116), u32_at(&bytes, 124), u64_at(&bytes, 128)), (99, 24, 3936));
    }
}
