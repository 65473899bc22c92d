use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rkllmjs_core::{Detail, Error, ErrorCode};
use rkllmjs_gguf::{self as gguf, Parts};

/// How a file for the NPU runtime begins.
const RKLLM_MAGIC: [u8; 4] = [0xDA, 0xEE, 0xB3, 0x36];
/// Files up to this size have their weights looked at for NaN and infinity when they are loaded; it
/// takes some 10 ms. In larger ones only what they compute tells.
const SCANNED_BYTES_MAX: u64 = 64 << 20;

/// Which engine a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Gguf,
    Rkllm,
}

impl Kind {
    /// The name that `info` has for its engine.
    pub(crate) const fn engine(self) -> &'static str {
        match self {
            Self::Gguf => "llama.cpp",
            Self::Rkllm => "rkllm",
        }
    }
}

/// What says which engine a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    FirstBytes,
    Name,
}

/// Decided by the first bytes. Where those say nothing the name does, so that the engine for it can say what
/// is wrong with the file.
pub(crate) fn kind(path: &Path) -> Kind {
    recognize(path).map_or(Kind::Gguf, |(kind, _)| kind)
}

/// The same with what says so; `None` where nothing does.
pub(crate) fn recognize(path: &Path) -> Option<(Kind, Sign)> {
    let mut head = [0; 4];
    // Opening a pipe would wait for somebody to write to it.
    let is_file = fs::metadata(path).is_ok_and(|facts| facts.is_file());
    let read =
        if is_file { fs::File::open(path).and_then(|mut file| file.read_exact(&mut head)) } else { Ok(()) };
    match (read, &head) {
        (Ok(()), b"GGUF") => Some((Kind::Gguf, Sign::FirstBytes)),
        (Ok(()), head) if *head == RKLLM_MAGIC => Some((Kind::Rkllm, Sign::FirstBytes)),
        _ if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("rkllm")) => {
            Some((Kind::Rkllm, Sign::Name))
        }
        _ => None,
    }
}

/// Opens the model that a file is or is a part of, and refuses what llama.cpp would not survive.
pub(crate) fn open_model(path: &Path) -> Result<Parts, Error> {
    let parts = Parts::open(path).map_err(|e| refused(path, &e))?;
    gguf::check_model(&parts.whole).map_err(|e| refused(path, &e))?;
    if parts.whole.file_bytes <= SCANNED_BYTES_MAX {
        for part in &parts.paths {
            gguf::check_weights_finite(part, SCANNED_BYTES_MAX).map_err(|e| refused(part, &e))?;
        }
    }
    Ok(parts)
}

/// The file to name to llama.cpp, which finds the others by it.
pub(crate) fn first_part<'a>(parts: &'a Parts, path: &'a Path) -> &'a Path {
    parts.paths.first().map_or(path, PathBuf::as_path)
}

/// Opens a projector, and refuses what llama.cpp would not survive, or what is not for the model that `facts` are of.
pub(crate) fn open_projector(path: &Path, facts: &gguf::Facts<'_>) -> Result<gguf::Projector, Error> {
    let file = gguf::File::open(path).map_err(|e| refused(path, &e))?;
    let width = facts.input_length.unwrap_or(0);
    let projector = gguf::check_projector(&file, width).map_err(|e| refused(path, &e))?;
    gguf::check_weights_finite(path, SCANNED_BYTES_MAX).map_err(|e| refused(path, &e))?;
    Ok(projector)
}

/// Opens an adapter and checks that it fits the model in `base`.
pub(crate) fn check_adapter(path: &Path, base: &Path) -> Result<(), Error> {
    let adapter = gguf::File::open(path).map_err(|e| refused(path, &e))?;
    let base_parts = Parts::open(base).map_err(|e| refused(base, &e))?;
    gguf::check_adapter(&adapter, &base_parts.whole).map_err(|e| {
        // Whatever is wrong with it, it is no adapter for this model.
        Error { code: ErrorCode::ModelInvalid, ..refused(path, &e) }
    })?;
    gguf::check_weights_finite(path, SCANNED_BYTES_MAX).map_err(|e| refused(path, &e))?;
    Ok(())
}

/// A refusal in this library's terms.
pub(crate) fn refused(path: &Path, error: &gguf::Error) -> Error {
    use std::io::ErrorKind as Io;
    let code = match error.kind {
        gguf::ErrorKind::Io(Io::NotFound | Io::NotADirectory) => ErrorCode::ModelNotFound,
        gguf::ErrorKind::Io(Io::InvalidInput) => ErrorCode::InvalidRequest,
        gguf::ErrorKind::Unsupported if path.is_file() => ErrorCode::Unsupported,
        gguf::ErrorKind::NotGguf if error.message.contains("RKLLM") => ErrorCode::Unsupported,
        _ => ErrorCode::ModelInvalid,
    };
    let refusal = Error::new(code, format!("{}: {error}", path.display()))
        .with("path", Detail::Text(path.display().to_string()));
    match error.offset {
        Some(offset) => refusal.with("offset", Detail::Number(offset)),
        None => refusal,
    }
}
