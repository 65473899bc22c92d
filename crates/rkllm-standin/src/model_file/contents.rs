use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Failure;

/// Most bytes of a script.
const SCRIPT_BYTES_MAX: u64 = 1 << 20;

/// The contents of a model file, not read yet.
#[derive(Debug)]
pub(crate) struct Contents {
    file: File,
    length: u64,
}

impl Contents {
    pub(crate) fn new(file: File, length: u64) -> Self {
        Self { file, length }
    }

    /// The contents as text.
    pub(crate) fn text(self) -> Result<String, Failure> {
        if self.length > SCRIPT_BYTES_MAX {
            return Err(Failure::new(format!("the script has more than {SCRIPT_BYTES_MAX} bytes")));
        }
        let mut text = String::new();
        let read = self.file.take(self.length).read_to_string(&mut text);
        read.map_err(|e| Failure::new(format!("the script cannot be read: {e}")))?;
        Ok(text)
    }

    /// Copies the contents to a file of their own: llama.cpp reads files from their first byte.
    pub(crate) fn extract(self) -> Result<Extracted, Failure> {
        let failed = |e: io::Error| Failure::new(format!("cannot copy the model's contents: {e}"));
        let mut copy = unnamed_file().map_err(failed)?;
        let copied = io::copy(&mut self.file.take(self.length), &mut copy).map_err(failed)?;
        if copied != self.length {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        let path = PathBuf::from(format!("/proc/self/fd/{}", copy.as_raw_fd()));
        Ok(Extracted { path, _file: copy })
    }
}

/// A file that has a path while this value lives, and is gone with it however the process ends.
#[derive(Debug)]
pub(crate) struct Extracted {
    path: PathBuf,
    _file: File,
}

impl Extracted {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn unnamed_file() -> io::Result<File> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("rkllmjs-standin-{}-{number}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
