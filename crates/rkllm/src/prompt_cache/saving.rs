use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rkllmjs_core::{Error, SequenceId};

use super::record::{Origin, describe, record_path};

/// A cache that the run under way will save when it ends.
#[derive(Debug)]
pub(crate) struct Saving {
    /// Whose run.
    pub(crate) sequence: SequenceId,
    cache: PathBuf,
    origin: Origin,
    before: Option<Stamp>,
}

/// What changes when a file is written.
type Stamp = (u64, SystemTime);

impl Saving {
    /// Makes sure that the record can be written; one that is there stays until there is another cache.
    ///
    /// # Errors
    ///
    /// `invalid-request` where it cannot be.
    pub(crate) fn begin(sequence: SequenceId, cache: &Path, origin: Origin) -> Result<Self, Error> {
        let record = record_path(cache);
        if cache.is_dir() {
            return Err(Error::option("prompt_cache", format!("names a folder: {}", cache.display())));
        }
        // The runtime would answer with nothing if it cannot write, so this asks for it.
        OpenOptions::new().append(true).create(true).open(&record).map_err(|error| {
            let message = format!("cannot be saved: {} cannot be written: {error}", record.display());
            Error::option("prompt_cache", message)
        })?;
        Ok(Self { sequence, cache: cache.to_owned(), origin, before: stamp(cache) })
    }

    /// Writes the record, if the run has saved its cache. Without one the cache is refused when it is loaded,
    /// with the reason.
    pub(crate) fn end(self) -> io::Result<()> {
        if stamp(&self.cache).is_none_or(|stamp| Some(stamp) == self.before) {
            return Ok(());
        }
        fs::write(record_path(&self.cache), describe(&self.cache, &self.origin)?)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let facts = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some((facts.len(), facts.modified().ok()?))
}
