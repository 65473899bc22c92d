//! The vendor's library: found, told which of two interfaces it has, and opened.
//!
//! Two interfaces live behind the same symbol names, and a call by the wrong one corrupts memory instead of
//! failing. So three things are asked, and a library about which they disagree is refused: its bytes, which
//! name a version (`banner`); its defaults, whose layout shows (`probe`); and the caller.

mod banner;
mod decide;
mod elf;
mod open;
mod probe;
mod refusal;
mod search;
mod survey;
mod symbols;
mod version;

use std::mem::ManuallyDrop;
use std::path::PathBuf;

use rkllmjs_core::Error;

pub use decide::DetectedBy;
pub use probe::defaults;
pub use search::Search;
pub use survey::{Found, Survey, Tried, survey};
pub use symbols::{Functions12, Functions13, Symbols};
pub use version::{Abi, SUPPORTED, Version};

/// The runtime's library, open until the process ends.
#[derive(Debug)]
pub struct Library {
    /// The file, with links followed.
    pub path: PathBuf,
    /// The version it says it has, else the one the caller named; `None` where only its defaults told.
    pub version: Option<Version>,
    /// The interface it is driven by.
    pub abi: Abi,
    /// How that is known.
    pub detected_by: DetectedBy,
    /// Whether it is our stand-in, which computes without an NPU.
    pub stand_in: bool,
    /// Its functions.
    pub symbols: Symbols,
    /// Never dropped: closing the library would take the code away from under its threads.
    _handle: ManuallyDrop<libloading::os::unix::Library>,
}

impl Library {
    /// Finds and opens the library; the same file is opened once.
    ///
    /// It is looked for as `library_path`, else where `RKLLMJS_RKLLM_LIBRARY` says, else in the addon's
    /// folder, in the system's folders, and wherever the system's loader finds `librkllmrt.so`. A file that
    /// is named by the first two is the only one tried.
    ///
    /// # Errors
    ///
    /// `library-unavailable`, with `tried` (each place and why not) and `found` (the version refused);
    /// `invalid-request` for a `runtime_version` that is not known.
    pub fn find(search: &Search<'_>) -> Result<&'static Self, Error> {
        search::find(search)
    }
}
