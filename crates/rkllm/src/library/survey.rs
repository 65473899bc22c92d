//! What library would be taken, told from files alone.
//!
//! Opening a library runs its constructors, and a person who asks what is wrong has not asked for that.

use std::fs;
use std::io::{self, Read, Seek as _};
use std::path::{Path, PathBuf};

use super::refusal::Refusal;
use super::search::{self, Place, Search};
use super::version::{Abi, Support, Version};
use super::{banner, decide, elf};

/// What every runtime exports, and hardly any other library.
const EXPORT: &[u8] = b"rkllm_init\0";

const BLOCK_BYTES: u64 = 256 * 1024;

/// What lies in the places where the library is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The first file that may be the library.
    pub found: Option<Found>,
    /// The places before it, or all, each with what is wrong there.
    pub tried: Vec<Tried>,
}

/// A file that may be the library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file, with links followed.
    pub path: PathBuf,
    /// The version its bytes name; `None` if only opening it would tell.
    pub version: Option<Version>,
    /// The interface of that version.
    pub abi: Option<Abi>,
    /// Whether it is our stand-in, which computes without an NPU.
    pub stand_in: bool,
}

/// A place where there is no library to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The file, or a name for the system's loader.
    pub place: String,
    /// What is wrong there; continues the place: `is empty`.
    pub reason: String,
    /// Whether something is there at all.
    pub is_there: bool,
    /// The version of a library that is refused, where its bytes name one.
    pub version: Option<Version>,
}

/// Looks at files as [`Library::find`](super::Library::find) would, without opening any as a library.
///
/// The system's loader is not asked, since it answers by opening. `runtime_version` is not regarded: it is the
/// answer to a question that shows here.
pub fn survey(search: &Search<'_>) -> Survey {
    look(&search::all_places(search))
}

fn look(places: &[Place]) -> Survey {
    let mut tried = Vec::with_capacity(places.len());
    for place in places {
        let looked = match place {
            Place::File(path) => look_at(path),
            Place::Loader(_) => Err(Refusal::new(
                "may still be found by the system's loader, which is not asked because it answers by opening it",
            )),
        };
        match looked {
            Ok(found) => return Survey { found: Some(found), tried },
            Err(refusal) => tried.push(Tried {
                place: place.to_string(),
                is_there: matches!(place, Place::File(_)) && !refusal.is_missing(),
                reason: refusal.reason,
                version: refusal.found,
            }),
        }
    }
    Survey { found: None, tried }
}

fn look_at(path: &Path) -> Result<Found, Refusal> {
    let unreadable = |error: io::Error| Refusal::new(format!("cannot be read: {error}"));
    let mut file = elf::open(path)?;
    let banner = banner::find(&mut file).map_err(unreadable)?;
    let version = banner.as_ref().map(|banner| banner.version);
    decide::expect(version, None)?;
    if version.is_none() {
        file.rewind().map_err(unreadable)?;
        if !contains(file, EXPORT).map_err(unreadable)? {
            return Err(Refusal::new("is not the RKLLM runtime: nothing in it is called rkllm_init"));
        }
    }
    let abi = version.and_then(|version| match version.support() {
        Support::Known(abi) => Some(abi),
        Support::TooOld | Support::Unknown => None,
    });
    let target = banner.and_then(|banner| banner.target).unwrap_or_default();
    let path = fs::canonicalize(path).map_err(|error| Refusal::new(format!("cannot be found: {error}")))?;
    Ok(Found { path, version, abi, stand_in: target.contains("stand-in") })
}

/// Whether `words` are somewhere in what `reader` gives, without holding more than a block of it.
fn contains(mut reader: impl Read, words: &[u8]) -> io::Result<bool> {
    let mut window = Vec::new();
    loop {
        let read = reader.by_ref().take(BLOCK_BYTES).read_to_end(&mut window)?;
        if window.windows(words.len()).any(|part| part.first() == words.first() && part == words) {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
        // What begins at the end of a block is looked at again together with the next.
        window.drain(..window.len().saturating_sub(words.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    /// The shortest file that this process could load, with `text` in it.
    fn library(text: &[u8]) -> Vec<u8> {
        let machine: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
        let mut bytes = vec![0; 64 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[16] = 3;
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes.extend_from_slice(text);
        bytes
    }

    fn looked(text: &[u8]) -> Survey {
        let folder = Folder::new("survey");
        look(&[Place::File(folder.file("librkllmrt.so", library(text)))])
    }

    #[test]
    fn a_library_is_told_by_its_banner() {
        let found = looked(b"RKLLM SDK (version: 1.3.1 | target: Linux | build: x)\0").found.unwrap();
        assert_eq!((found.version, found.abi), (Version::parse("1.3.1"), Some(Abi::V13)));
        assert!(!found.stand_in);
        assert!(looked(b"RKLLM SDK (version: 1.2.3 | target: stand-in)\0").found.unwrap().stand_in);
    }

    #[test]
    fn an_old_or_unknown_version_is_refused_with_its_number() {
        for version in ["1.1.4", "1.9.0"] {
            let survey = looked(format!("RKLLM SDK (version: {version} | target: Linux)\0").as_bytes());
            assert_eq!(survey.found, None);
            assert_eq!(survey.tried[0].version, Version::parse(version));
            assert!(survey.tried[0].is_there && survey.tried[0].reason.contains(version));
        }
    }

    #[test]
    fn without_a_banner_only_its_names_speak_for_a_library() {
        let found = looked(b"\0rkllm_init\0").found.unwrap();
        assert_eq!((found.version, found.abi), (None, None));
        assert!(looked(b"\0another_init\0").tried[0].reason.contains("rkllm_init"));
    }

    #[test]
    fn the_places_before_the_library_say_what_is_wrong_there() {
        let folder = Folder::new("survey-places");
        let absent = folder.path().join("absent.so");
        let text = folder.file("text.so", "not a library");
        let good = folder.file("good.so", library(b"RKLLM SDK (version: 1.2.3)\0"));
        let places = [Place::File(absent), Place::File(text), Place::File(good.clone())];
        let survey = look(&places);
        assert_eq!(survey.found.unwrap().path, fs::canonicalize(good).unwrap());
        let there: Vec<bool> = survey.tried.iter().map(|tried| tried.is_there).collect();
        assert_eq!(there, [false, true]);
        let nowhere = look(&[Place::Loader("librkllmrt.so")]);
        assert_eq!(nowhere.found, None);
        assert!(!nowhere.tried[0].is_there && nowhere.tried[0].reason.contains("loader"));
    }

    #[test]
    fn words_across_two_blocks_are_found() {
        let block = usize::try_from(BLOCK_BYTES).unwrap();
        for before in block - 12..block + 3 {
            let mut bytes = vec![b'r'; before];
            bytes.extend_from_slice(EXPORT);
            assert!(contains(&*bytes, EXPORT).unwrap(), "after {before} bytes");
            assert!(!contains(&bytes[..before + 9], EXPORT).unwrap());
        }
    }
}
