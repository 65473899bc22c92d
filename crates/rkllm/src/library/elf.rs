//! What a file is, told from its first bytes, before the system's loader maps it.
//!
//! The loader's own messages are terse, and a library that is cut short kills the process with SIGBUS
//! instead of failing to open.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use super::refusal::Refusal;

/// Real libraries have 7 MB; the stand-in has llama.cpp inside.
const LIBRARY_BYTES_MAX: u64 = 1 << 30;

const HEADER_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 56;
const SEGMENTS_MAX: u16 = 256;

/// The machine number of this process in an ELF header.
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;
#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
const MACHINE: u16 = 0;

/// Opens a library as a file, if it is one that this process can load.
pub(super) fn open(path: &Path) -> Result<File, Refusal> {
    let facts = fs::metadata(path).map_err(|error| unreadable(&error))?;
    if facts.is_dir() {
        return Err(Refusal::new("is a folder; name the file in it"));
    }
    // Opening a pipe would wait for somebody to write to it.
    if !facts.is_file() {
        return Err(Refusal::new("is not a regular file"));
    }
    if facts.len() > LIBRARY_BYTES_MAX {
        return Err(Refusal::new(format!("has {} bytes, more than any RKLLM runtime", facts.len())));
    }
    let mut file = File::open(path).map_err(|error| unreadable(&error))?;
    let mut head = Vec::with_capacity(HEADER_BYTES);
    let limit = HEADER_BYTES as u64;
    file.by_ref().take(limit).read_to_end(&mut head).map_err(|error| unreadable(&error))?;
    let header = Header::read(&head).map_err(Refusal::new)?;
    check_segments(&mut file, &header, facts.len())?;
    file.rewind().map_err(|error| unreadable(&error))?;
    Ok(file)
}

fn unreadable(error: &std::io::Error) -> Refusal {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Refusal::missing(),
        ErrorKind::PermissionDenied => Refusal::new("may not be read by this user"),
        _ => Refusal::new(format!("cannot be read: {error}")),
    }
}

/// Where a library's segments are described.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    segments_offset: u64,
    segments: u16,
}

impl Header {
    /// Reads the first bytes of a file, or says what it is instead of a library for this process.
    fn read(head: &[u8]) -> Result<Self, String> {
        if !head.starts_with(b"\x7fELF") {
            return Err(describe(head));
        }
        let Ok(head) = <&[u8; HEADER_BYTES]>::try_from(head) else {
            return Err("is cut short: it ends inside its header".into());
        };
        let half = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let machine = half(18);
        if head[4] != 2 || head[5] != 1 || machine != MACHINE {
            return Err(other_machine(head[4], head[5], machine));
        }
        match half(16) {
            3 => {}
            1 => return Err("is an object file, not a shared library".into()),
            2 => return Err("is a program, not a shared library".into()),
            other => return Err(format!("is not a shared library: its ELF type is {other}")),
        }
        if usize::from(half(54)) != SEGMENT_BYTES || half(56) == 0 || half(56) > SEGMENTS_MAX {
            return Err("is damaged: its ELF header describes no segments that can be read".into());
        }
        let mut offset = [0; 8];
        offset.copy_from_slice(&head[32..40]);
        Ok(Self { segments_offset: u64::from_le_bytes(offset), segments: half(56) })
    }
}

fn other_machine(class: u8, order: u8, machine: u16) -> String {
    let unnamed = format!("another machine (ELF class {class}, byte order {order}, machine {machine})");
    let name = match (class, order, machine) {
        (1, 1, 40) => "32-bit ARM (armhf)",
        (2, 1, 183) => "aarch64",
        (2, 1, 62) => "x86_64",
        (1, 1, 3) => "32-bit x86",
        (2, 1, 243) => "64-bit RISC-V",
        _ => &unnamed,
    };
    format!("is a library for {name}; this process is {}", std::env::consts::ARCH)
}

fn describe(head: &[u8]) -> String {
    let text = String::from_utf8_lossy(head).trim_start().to_ascii_lowercase();
    if head.is_empty() {
        "is empty".into()
    } else if text.starts_with("version https://git-lfs") {
        "is a Git LFS pointer; fetch the real file with `git lfs pull`".into()
    } else if text.starts_with("<!do") || text.starts_with("<htm") || text.starts_with("<?xml") {
        "is a web page that was saved in place of the library".into()
    } else if head.starts_with(b"!<arch>") {
        "is a static library; the shared one is needed".into()
    } else if head.starts_with(b"PK\x03\x04") || head.starts_with(b"\x1f\x8b") {
        "is an archive; unpack it first".into()
    } else {
        let start = head.get(..8).unwrap_or(head);
        format!("is not a library: it begins with \"{}\"", start.escape_ascii())
    }
}

/// Every byte that the loader will map is in the file.
fn check_segments(file: &mut File, header: &Header, length: u64) -> Result<(), Refusal> {
    let cut_short = || Refusal::new(format!("is cut short: it has {length} bytes and describes more"));
    file.seek(SeekFrom::Start(header.segments_offset)).map_err(|_| cut_short())?;
    for _ in 0..header.segments {
        let mut segment = [0; SEGMENT_BYTES];
        file.read_exact(&mut segment).map_err(|_| cut_short())?;
        let (offset, bytes) = (word(&segment, 8), word(&segment, 32));
        if offset.checked_add(bytes).is_none_or(|end| end > length) {
            return Err(cut_short());
        }
    }
    Ok(())
}

fn word(segment: &[u8; SEGMENT_BYTES], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&segment[at..at + 8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Folder, Random};

    /// A library of this machine with one segment that spans the file.
    fn library() -> Vec<u8> {
        let mut bytes = vec![0; 200];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[16..18].copy_from_slice(&3_u16.to_le_bytes());
        bytes[18..20].copy_from_slice(&MACHINE.to_le_bytes());
        bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&1_u16.to_le_bytes());
        bytes[64 + 32..64 + 40].copy_from_slice(&200_u64.to_le_bytes());
        bytes
    }

    fn with(at: usize, value: &[u8]) -> Vec<u8> {
        let mut bytes = library();
        bytes[at..at + value.len()].copy_from_slice(value);
        bytes
    }

    fn refusal(name: &str, bytes: &[u8]) -> Option<String> {
        let folder = Folder::new(name);
        open(&folder.file("library.so", bytes)).err().map(|refusal| refusal.reason)
    }

    #[test]
    fn a_library_of_this_machine_is_accepted() {
        assert_eq!(refusal("elf-good", &library()), None);
    }

    #[test]
    fn each_wrong_file_is_named() {
        let armhf = {
            let mut b = with(18, &40_u16.to_le_bytes());
            b[4] = 1;
            b
        };
        let other: u16 = if MACHINE == 62 { 183 } else { 62 };
        let cases: [(Vec<u8>, &str); 13] = [
            (armhf, "armhf"),
            (with(18, &other.to_le_bytes()), "; this process is "),
            (with(5, &[2]), "another machine"),
            (with(16, &1_u16.to_le_bytes()), "object file"),
            (with(16, &2_u16.to_le_bytes()), "is a program"),
            (with(56, &0_u16.to_le_bytes()), "damaged"),
            (with(56, &[0xff, 0xff]), "damaged"),
            (library()[..40].to_vec(), "ends inside its header"),
            (library()[..199].to_vec(), "cut short"),
            (b"version https://git-lfs.github.com/spec/v1\noid".to_vec(), "Git LFS pointer"),
            (b"\n<!DOCTYPE html><html>".to_vec(), "web page"),
            (Vec::new(), "is empty"),
            (b"hello\nworld".to_vec(), "it begins with \"hello\\nwo\""),
        ];
        for (bytes, words) in cases {
            let reason = refusal("elf-wrong", &bytes).unwrap_or_default();
            assert!(reason.contains(words), "{words}: {reason}");
        }
    }

    #[test]
    fn folders_pipes_and_absent_files_are_told_apart() {
        let folder = Folder::new("elf-kinds");
        assert!(open(folder.path()).unwrap_err().reason.contains("is a folder"));
        assert!(open(Path::new("/dev/zero")).unwrap_err().reason.contains("regular file"));
        assert!(open(&folder.path().join("absent")).unwrap_err().is_missing());
    }

    #[test]
    fn a_damaged_header_never_panics() {
        let mut random = Random::new(7);
        let folder = Folder::new("elf-random");
        for _ in 0..500 {
            let mut bytes = library();
            for _ in 0..=random.below(6) {
                let at = random.below(bytes.len());
                bytes[at] = random.byte();
            }
            bytes.truncate(random.below(bytes.len() + 1));
            let _ = open(&folder.file("library.so", &bytes));
        }
    }
}
