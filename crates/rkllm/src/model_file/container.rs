//! The structure of a model, as far as it can be followed without the mask over its texts.
//!
//! The layout is that of GGUF, little-endian, with the contents of texts masked; lengths and numbers are
//! plain. That is known from studies of such files, not from the vendor, so that only two things count
//! against a file: numbers that no file can have, and a walk that made sense to its end and shows that the
//! file is too short.

use std::io::{self, BufRead, Read};

/// The version of the container that is known.
const VERSION: u32 = 3;

/// No model has as many; what has more is damaged.
const ENTRIES_MAX: u64 = 65_536;

/// The shortest metadata entry: the length of a name of one byte, the name, a type, a byte.
const METADATA_BYTES_MIN: u64 = 8 + 1 + 4 + 1;
/// The shortest entry of a tensor: the length of a name of one byte, the name, a rank, a type, an offset.
const TENSOR_BYTES_MIN: u64 = 8 + 1 + 4 + 4 + 8;

const HEADER_BYTES: u64 = 24;
/// Longer names and texts than these are taken for misread.
const NAME_BYTES_MAX: u64 = 65_535;
const TEXT_BYTES_MAX: u64 = 64 << 20;
/// Headers of real models have some ten megabytes; a sparse file could ask for hours.
const WALK_BYTES_MAX: u64 = 512 << 20;
const ALIGNMENT: u64 = 32;

/// The numbers at the start of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) tensors: u64,
    pub(super) metadata: u64,
}

impl Container {
    /// Reads the header in the first bytes of a file of `length` bytes, or says what is wrong.
    pub(super) fn read(head: &[u8], length: u64) -> Result<Self, String> {
        let Some((head, _)) = head.split_first_chunk::<24>() else {
            return Err("is cut short: it ends inside its header".into());
        };
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&head[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let version = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        if version != VERSION {
            return Err(format!("has format version {version}; version {VERSION} is known"));
        }
        let (tensors, metadata) = (number(8), number(16));
        for (what, count) in [("tensors", tensors), ("metadata entries", metadata)] {
            if count > ENTRIES_MAX {
                return Err(format!("is damaged: it claims {count} {what}; at most {ENTRIES_MAX} are taken"));
            }
        }
        let least = HEADER_BYTES + metadata * METADATA_BYTES_MIN + tensors * TENSOR_BYTES_MIN;
        if length < least {
            return Err(format!(
                "is cut short: it has {length} bytes, but {metadata} metadata entries and {tensors} tensors take \
                 at least {least}"
            ));
        }
        Ok(Self { tensors, metadata })
    }

    /// How many bytes the file has at least, from where its tensors begin. `None` if something is met that
    /// is not understood, or the file ends before that is known.
    pub(super) fn least_bytes(self, body: impl BufRead) -> Option<u64> {
        let mut walk = Walk { body: body.take(WALK_BYTES_MAX), position: HEADER_BYTES };
        for _ in 0..self.metadata {
            walk.text(NAME_BYTES_MAX).ok()?;
            let kind = walk.u32().ok()?;
            walk.value(kind).ok()?;
        }
        let mut last = 0;
        for _ in 0..self.tensors {
            last = walk.tensor().ok()?.max(last);
        }
        let data = walk.position.checked_next_multiple_of(ALIGNMENT)?;
        // The last tensor has bytes too; how many depends on types that are the vendor's own.
        if self.tensors == 0 { Some(walk.position) } else { data.checked_add(last)?.checked_add(1) }
    }
}

/// A reader that skips, and knows where it is.
struct Walk<R> {
    body: R,
    position: u64,
}

impl<R: BufRead> Walk<R> {
    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.body.read_exact(&mut bytes)?;
        self.position += N as u64;
        Ok(bytes)
    }

    fn u32(&mut self) -> io::Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> io::Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.body.by_ref().take(bytes), &mut io::sink())?;
        self.position += skipped;
        if skipped == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// A length, and as many bytes.
    fn text(&mut self, most: u64) -> io::Result<()> {
        let length = self.u64()?;
        if length > most {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.skip(length)
    }

    fn value(&mut self, kind: u32) -> io::Result<()> {
        match (kind, width(kind)) {
            (_, Some(bytes)) => self.skip(bytes),
            (8, _) => self.text(TEXT_BYTES_MAX),
            (9, _) => self.list(),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// The type of the elements, how many, and they; no lists in lists.
    fn list(&mut self) -> io::Result<()> {
        let (kind, count) = (self.u32()?, self.u64()?);
        if let Some(bytes) = width(kind) {
            return self.skip(count.checked_mul(bytes).ok_or(io::ErrorKind::InvalidData)?);
        }
        if kind != 8 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // Each takes eight bytes of the file at least, so that a count that lies ends with the file.
        (0..count).try_for_each(|_| self.text(TEXT_BYTES_MAX))
    }

    /// One entry of the directory of tensors: where its data begins.
    fn tensor(&mut self) -> io::Result<u64> {
        self.text(NAME_BYTES_MAX)?;
        let rank = self.u32()?;
        if rank > 4 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.skip(u64::from(rank) * 8 + 4)?;
        let offset = self.u64()?;
        if offset.is_multiple_of(ALIGNMENT) { Ok(offset) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

/// Bytes of a number of a metadata type; `None` for texts, lists and what is not known.
const fn width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_file::testing::model;
    use crate::testing::Random;

    fn least(bytes: &[u8]) -> Option<u64> {
        Container::read(bytes, bytes.len() as u64).unwrap().least_bytes(&bytes[24..])
    }

    #[test]
    fn a_whole_model_is_at_least_as_long_as_its_last_tensor() {
        let bytes = model();
        let read = Container::read(&bytes, bytes.len() as u64).unwrap();
        assert_eq!((read.tensors, read.metadata), (2, 4));
        let least = least(&bytes).unwrap();
        assert!(least <= bytes.len() as u64 && least > bytes.len() as u64 - 64, "{least} of {}", bytes.len());
    }

    #[test]
    fn numbers_no_file_can_have_are_refused() {
        let with = |at: usize, value: &[u8]| {
            let mut bytes = model();
            bytes[at..at + value.len()].copy_from_slice(value);
            Container::read(&bytes, bytes.len() as u64).unwrap_err()
        };
        assert!(with(4, &[2]).contains("format version 2"));
        assert!(with(8, &u64::MAX.to_le_bytes()).contains("tensors"));
        assert!(with(16, &70_000_u64.to_le_bytes()).contains("70000 metadata entries"));
        assert!(with(8, &60_000_u64.to_le_bytes()).contains("cut short"));
        assert!(Container::read(&model()[..23], 23).unwrap_err().contains("inside its header"));
    }

    #[test]
    fn what_is_not_understood_is_no_evidence() {
        let mut bytes = model();
        bytes[24..32].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(least(&bytes), None);
    }

    #[test]
    fn damaged_models_never_panic_and_end() {
        let mut random = Random::new(5);
        for _ in 0..5000 {
            let mut bytes = model();
            for _ in 0..=random.below(8) {
                let at = random.below(bytes.len());
                bytes[at] = random.byte();
            }
            bytes.truncate(random.below(bytes.len() + 1));
            if let Ok(container) = Container::read(&bytes, bytes.len() as u64) {
                let _ = container.least_bytes(&bytes[24..]);
            }
        }
    }
}
