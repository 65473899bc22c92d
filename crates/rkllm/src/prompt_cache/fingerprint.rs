//! What tells files and texts apart without reading all of them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Read whole at the start and at the end of a file.
const END_BYTES: u64 = 1 << 20;
/// Looked at in between, evenly apart.
const SAMPLES: u64 = 64;
const SAMPLE_BYTES: u64 = 4096;

/// What tells contents apart: not a proof against forgery, but models of one kind with other weights differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(pub String);

/// Of a file: its size, its start, its end and samples between them, some 2 MB however large it is.
///
/// # Errors
///
/// When it cannot be read.
pub fn of_file(path: &Path) -> io::Result<Fingerprint> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut hash = Hash::new();
    let mut buffer = Vec::new();
    let mut read = |from: u64, length: u64, hash: &mut Hash| -> io::Result<()> {
        buffer.clear();
        file.seek(SeekFrom::Start(from))?;
        (&mut file).take(length).read_to_end(&mut buffer)?;
        hash.add(&buffer);
        Ok(())
    };
    read(0, END_BYTES, &mut hash)?;
    if bytes > END_BYTES {
        let middle = bytes.saturating_sub(2 * END_BYTES);
        for sample in 0..SAMPLES.min(middle / SAMPLE_BYTES) {
            read(END_BYTES + middle / SAMPLES * sample, SAMPLE_BYTES, &mut hash)?;
        }
        read(bytes.saturating_sub(END_BYTES).max(END_BYTES), END_BYTES, &mut hash)?;
    }
    Ok(Fingerprint(format!("{bytes}-{:032x}", hash.0)))
}

/// Of several texts, their borders included.
pub fn of_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Fingerprint {
    let mut hash = Hash::new();
    for text in texts {
        hash.add(&(text.len() as u64).to_le_bytes());
        hash.add(text.as_bytes());
    }
    Fingerprint(format!("{:032x}", hash.0))
}

/// FNV-1a of 128 bits: the standard library promises no hash that stays the same between releases.
struct Hash(u128);

impl Hash {
    const fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn the_hash_is_the_published_one() {
        let of = |text: &str| {
            let mut hash = Hash::new();
            hash.add(text.as_bytes());
            hash.0
        };
        assert_eq!(of(""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(of("a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }

    #[test]
    fn a_byte_at_the_start_the_end_or_in_a_sample_tells_files_apart() {
        let folder = Folder::new("fingerprint");
        let mut bytes = vec![7; 3 << 20];
        let plain = of_file(&folder.file("plain", &bytes)).unwrap();
        assert_eq!(plain, of_file(&folder.file("same", &bytes)).unwrap());
        for at in [0, (1 << 20) - 1, 1 << 20, 2 << 20, bytes.len() - 1] {
            bytes[at] = 8;
            assert_ne!(plain, of_file(&folder.file("other", &bytes)).unwrap(), "{at}");
            bytes[at] = 7;
        }
        assert_ne!(plain, of_file(&folder.file("short", &bytes[1..])).unwrap());
        for length in [0, 1, 5000, (1 << 20) + 1, (2 << 20) + 1] {
            assert!(of_file(&folder.file("any", &bytes[..length])).is_ok());
        }
    }

    #[test]
    fn texts_are_told_apart_by_their_borders() {
        assert_ne!(of_texts(["ab", "c"]), of_texts(["a", "bc"]));
        assert_ne!(of_texts(["a"]), of_texts(["a", ""]));
    }
}
