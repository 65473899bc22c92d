//! Files that get their names once they are whole.

use std::fs;
use std::io::ErrorKind as Io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rkllmjs_core::{Detail, Error, ErrorCode};

/// The folder in which the file `output` is to be, which `option` names.
pub(crate) fn folder_of(option: &'static str, output: &Path) -> Result<PathBuf, Error> {
    if output.file_name().is_none() {
        return Err(Error::option(option, format!("must name a file, got {}", output.display())));
    }
    let folder = match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        let message = format!("lies in {}, which is no folder; make it first", folder.display());
        return Err(Error::option(option, message));
    }
    Ok(folder.to_owned())
}

/// Why `output`, which `option` names, cannot be written.
pub(crate) fn unwritable(option: &'static str, output: &Path, why: &std::io::Error) -> Error {
    let path = Detail::Text(output.display().to_string());
    if matches!(why.kind(), Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge) {
        let message = format!("{} cannot be written: {why}; make room and try again", output.display());
        return Error::new(ErrorCode::EngineFailed, message).with("path", path);
    }
    Error::option(option, format!("cannot be written: {}: {why}", output.display())).with("path", path)
}

/// A file on its way, removed unless it gets its name.
#[derive(Debug)]
pub(crate) struct Unfinished {
    option: &'static str,
    pub(crate) path: PathBuf,
}

impl Unfinished {
    pub(crate) fn create(option: &'static str, folder: &Path, output: &Path) -> Result<Self, Error> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".rkllmjs-{}-{number}.unfinished", std::process::id()));
        match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(_) => Ok(Self { option, path }),
            Err(error) => Err(unwritable(option, output, &error)),
        }
    }

    /// Waits until all of it is on the disk.
    pub(crate) fn sync(&self, output: &Path) -> Result<(), Error> {
        let synced = fs::File::open(&self.path).and_then(|file| file.sync_all());
        synced.map_err(|error| unwritable(self.option, output, &error))
    }

    /// Gives the file its name, in place of one that has it.
    pub(crate) fn replace(self, output: &Path) -> Result<(), Error> {
        fs::rename(&self.path, output).map_err(|error| unwritable(self.option, output, &error))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
