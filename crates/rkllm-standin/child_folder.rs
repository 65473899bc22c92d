//! Where a child of a test leaves its files: many a child ends before it can remove them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What a program takes for its folder of temporary files.
pub(crate) const VARIABLE: &str = "TMPDIR";

/// A folder for temporary files, removed with all that is in it when dropped.
pub(crate) struct ChildFolder(PathBuf);

impl ChildFolder {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rkllmjs-child-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("a folder for the child");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ChildFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
