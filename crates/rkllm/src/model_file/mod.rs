//! A model, checked before the library sees it.
//!
//! Whatever is wrong with a file, the library answers with the same number, or ends the process. So what can
//! be told is told here. The format is not published: what is not understood is `None` and counts against
//! nothing.

mod companions;
mod container;
mod magic;
mod name;
#[cfg(test)]
mod testing;

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rkllmjs_core::{Detail, Error, ErrorCode};

use crate::library::Version;
use crate::npu::Soc;

pub use companions::Companions;
pub use name::NameHints;

use container::Container;
use magic::{HEAD_BYTES, Start};

/// The last bytes of a file, in which the toolkit leaves its version.
const FOOTER_BYTES: u64 = 4096;

const FOOTER: &[u8] = b"rkllm-toolkit version: ";

/// What is known of a model for the NPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// The file.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// Tensors in it; `None` if it does not begin as models of today do.
    pub tensors: Option<u64>,
    /// Metadata entries in it; `None` likewise.
    pub metadata_entries: Option<u64>,
    /// The version of the toolkit that wrote it. The runtime must not be older.
    pub toolkit_version: Option<Version>,
    /// What its name tells.
    pub name: NameHints,
    /// What lies beside it.
    pub companions: Companions,
}

/// Checks a model for the machine whose chip is `soc`, if that is known.
///
/// # Errors
///
/// `model-not-found`; `model-invalid` saying what the file is instead, that it is cut short, or, with
/// `platform` and `soc`, that it is made for another chip.
pub fn check(path: &Path, soc: Option<&Soc>) -> Result<ModelFile, Error> {
    let (mut file, bytes) = open(path)?;
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let limit = HEAD_BYTES as u64;
    file.by_ref().take(limit).read_to_end(&mut head).map_err(|error| unreadable(path, &error))?;
    let container = match magic::start(&head) {
        Start::Rkllm => Some(Container::read(&head, bytes).map_err(|what| invalid(path, &what))?),
        Start::Other(what) => return Err(invalid(path, &what)),
        Start::Unknown if has_extension(path) => None,
        Start::Unknown => {
            let start = head.get(..8).unwrap_or(&head).escape_ascii();
            return Err(invalid(path, &format!("is not an RKLLM model: it begins with \"{start}\"")));
        }
    };
    let name = name::hints(&path.file_name().unwrap_or_default().to_string_lossy());
    check_platform(path, &name, soc)?;
    let footer = footer(&mut file, bytes);
    if let (Some(container), false) = (container, footer.is_some()) {
        check_length(path, &mut file, container, bytes)?;
    }
    Ok(ModelFile {
        path: path.to_owned(),
        bytes,
        tensors: container.map(|container| container.tensors),
        metadata_entries: container.map(|container| container.metadata),
        toolkit_version: footer.flatten(),
        name,
        companions: companions::beside(path.parent().unwrap_or(Path::new("."))),
    })
}

fn open(path: &Path) -> Result<(File, u64), Error> {
    let facts = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if facts.is_dir() {
        return Err(invalid(path, "is a folder; name the .rkllm file in it"));
    }
    // Opening a pipe would wait for somebody to write to it.
    if !facts.is_file() {
        return Err(invalid(path, "is not a regular file"));
    }
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    Ok((file, facts.len()))
}

/// Toolkits of old may have written something else at the start; then the runtime decides.
fn has_extension(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("rkllm"))
}

/// A model for another chip would fail, after a while, without saying why.
fn check_platform(path: &Path, name: &NameHints, soc: Option<&Soc>) -> Result<(), Error> {
    let (Some(platform), Some(soc)) = (name.platform, soc) else { return Ok(()) };
    if soc.platform == Some(platform) {
        return Ok(());
    }
    let what = format!("is made for {platform} by its name, but this machine has {}", soc.name);
    Err(invalid(path, &what)
        .with("platform", Detail::Text(platform.as_str().into()))
        .with("soc", Detail::Text(soc.name.clone())))
}

/// The end of a file that the toolkit finished: then nothing is missing. Inside, the version if it is one.
fn footer(file: &mut File, bytes: u64) -> Option<Option<Version>> {
    file.seek(SeekFrom::Start(bytes.saturating_sub(FOOTER_BYTES))).ok()?;
    let mut end = Vec::new();
    file.take(FOOTER_BYTES).read_to_end(&mut end).ok()?;
    let at = end.windows(FOOTER.len()).rposition(|window| window == FOOTER)?;
    let text = end.get(at + FOOTER.len()..)?;
    let is_version = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'b');
    let length = text.iter().position(|byte| !is_version(byte)).unwrap_or(text.len());
    let version = std::str::from_utf8(text.get(..length)?).ok().and_then(Version::parse);
    Some(version)
}

fn check_length(path: &Path, file: &mut File, container: Container, bytes: u64) -> Result<(), Error> {
    file.seek(SeekFrom::Start(24)).map_err(|error| unreadable(path, &error))?;
    // What is looked at is bounded by the file, and a count that lies ends with it.
    let least = container.least_bytes(BufReader::with_capacity(256 * 1024, file));
    match least {
        Some(least) if least > bytes => Err(invalid(
            path,
            &format!("is cut short: it has {bytes} bytes and its last tensor begins beyond {}", least - 1),
        )),
        _ => Ok(()),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let (code, what) = match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            (ErrorCode::ModelNotFound, "does not exist".to_owned())
        }
        ErrorKind::PermissionDenied => (ErrorCode::ModelInvalid, "may not be read by this user".to_owned()),
        _ => (ErrorCode::ModelInvalid, format!("cannot be read: {error}")),
    };
    refusal(code, path, &what)
}

fn invalid(path: &Path, what: &str) -> Error {
    refusal(ErrorCode::ModelInvalid, path, what)
}

fn refusal(code: ErrorCode, path: &Path, what: &str) -> Error {
    let path = path.display().to_string();
    Error::new(code, format!("{path} {what}")).with("path", Detail::Text(path))
}

#[cfg(test)]
mod tests {
    use super::testing::model;
    use super::*;
    use crate::npu::Platform;
    use crate::testing::{Folder, Random};

    fn soc(name: &str, platform: Platform) -> Soc {
        Soc { name: name.into(), platform: Some(platform) }
    }

    #[test]
    fn a_model_tells_what_can_be_known() {
        let folder = Folder::new("model");
        let mut bytes = model();
        bytes.extend_from_slice(b"rkllm-toolkit version: 1.3.1");
        let path = folder.file("Tiny-rk3588-w8a8-npu3.rkllm", &bytes);
        folder.file("config.json", r#"{"vocab_size": 32000}"#);
        let found = check(&path, Some(&soc("rk3588s", Platform::Rk3588))).unwrap();
        assert_eq!((found.tensors, found.metadata_entries), (Some(2), Some(4)));
        assert_eq!(found.toolkit_version, Version::parse("1.3.1"));
        assert_eq!(found.name.npu_cores, Some(3));
        assert_eq!(found.companions.vocab_size, Some(32000));
        assert_eq!(found.bytes, bytes.len() as u64);
    }

    #[test]
    fn a_model_for_another_chip_is_refused_naming_both() {
        let folder = Folder::new("model-chip");
        let path = folder.file("tiny-rk3576.rkllm", model());
        let error = check(&path, Some(&soc("rk3588s", Platform::Rk3588))).unwrap_err();
        assert_eq!(error.code, ErrorCode::ModelInvalid);
        assert!(error.message.contains("rk3576") && error.message.contains("rk3588s"), "{error}");
        let other = Soc { name: "rk3328".into(), platform: None };
        assert_eq!(check(&path, Some(&other)).unwrap_err().code, ErrorCode::ModelInvalid);
        assert!(check(&path, None).is_ok());
    }

    #[test]
    fn wrong_files_have_their_codes() {
        let folder = Folder::new("model-wrong");
        let code = |path: &Path| check(path, None).unwrap_err().code;
        assert_eq!(code(&folder.path().join("absent.rkllm")), ErrorCode::ModelNotFound);
        assert_eq!(code(folder.path()), ErrorCode::ModelInvalid);
        assert_eq!(code(Path::new("/dev/zero")), ErrorCode::ModelInvalid);
        let gguf = folder.file("a.rkllm", b"GGUF\x03\0\0\0");
        assert!(check(&gguf, None).unwrap_err().message.contains("llama.cpp"));
    }

    #[test]
    fn an_unknown_start_is_left_to_the_runtime_if_the_name_says_rkllm() {
        let folder = Folder::new("model-unknown");
        let found = check(&folder.file("old.RKLLM", "another toolkit"), None).unwrap();
        assert_eq!((found.tensors, found.toolkit_version), (None, None));
        let error = check(&folder.file("old.bin", "another toolkit"), None).unwrap_err();
        assert!(error.message.contains("begins with \"another \""), "{error}");
    }

    #[test]
    fn a_download_that_stopped_before_the_last_tensor_is_found_out() {
        let folder = Folder::new("model-short");
        let whole = model();
        assert!(check(&folder.file("whole.rkllm", &whole), None).is_ok());
        let short = &whole[..whole.len() - 40];
        let error = check(&folder.file("short.rkllm", short), None).unwrap_err();
        assert!(error.message.contains("cut short"), "{error}");
        // What the toolkit finished is whole, whatever this reader makes of it.
        let mut finished = short.to_vec();
        finished.extend_from_slice(b"rkllm-toolkit version: next");
        let found = check(&folder.file("finished.rkllm", &finished), None).unwrap();
        assert_eq!(found.toolkit_version, None);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let folder = Folder::new("model-random");
        let mut random = Random::new(17);
        for _ in 0..300 {
            let mut bytes = model();
            bytes.extend_from_slice(b"rkllm-toolkit version: 1.3.1");
            for _ in 0..random.below(6) {
                let at = random.below(bytes.len());
                bytes[at] = random.byte();
            }
            bytes.truncate(random.below(bytes.len() + 1));
            let _ = check(&folder.file("any.rkllm", &bytes), None);
        }
    }
}
