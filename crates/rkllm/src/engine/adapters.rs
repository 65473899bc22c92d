use std::ffi::CString;
use std::path::Path;

use rkllmjs_core::{Adapters, ClearCache, Error, ErrorCode};

use super::input::{c_path, c_string};
use super::{RkllmEngine, fingerprint};
use crate::prompt_cache::{Fingerprint, of_texts};

/// An adapter the runtime has loaded. It cannot unload one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LoadedAdapter {
    pub(super) name: CString,
    pub(super) scale: f32,
    pub(super) fingerprint: Fingerprint,
}

impl RkllmEngine {
    /// Loads an adapter at the scale that all its runs will have.
    pub(super) fn add_adapter(&mut self, name: &str, path: &Path, scale: f32) -> Result<(), Error> {
        if self.adapters.contains_key(name) {
            let message = format!("{name:?} is taken by another adapter, and the NPU runtime unloads none");
            return Err(Error::option("name", message));
        }
        let Fingerprint(contents) = fingerprint(path)?;
        let fingerprint = of_texts([contents.as_str(), &format!("{scale}")]);
        let loaded = LoadedAdapter { name: c_string("name", name)?, scale, fingerprint };
        let (file, c_name, scale) = (c_path("path", path)?, loaded.name.clone(), loaded.scale);
        self.active = None;
        self.session.call(move |handle| handle.load_adapter(file, c_name, scale))??;
        self.adapters.insert(name.to_owned(), loaded);
        Ok(())
    }

    /// Says that an adapter cannot go, if it is there.
    pub(super) fn keep_adapter(&self, name: &str) -> Result<bool, Error> {
        if !self.adapters.contains_key(name) {
            return Ok(false);
        }
        let message = format!(
            "the NPU runtime cannot unload an adapter: {name:?} stays until the model is closed, and costs nothing \
             but memory while no request names it"
        );
        Err(Error::new(ErrorCode::Unsupported, message))
    }

    /// The adapter of a batch: the runtime knows one a run, at the scale it was loaded with.
    pub(super) fn adapter(&self, wanted: &Adapters) -> Result<Option<CString>, Error> {
        match wanted.as_slice() {
            [] => Ok(None),
            [(name, scale)] => {
                let loaded = self
                    .adapters
                    .get(name)
                    .ok_or_else(|| Error::option("lora", format!("names {name:?}, which is not loaded")))?;
                if loaded.scale != *scale {
                    let message = format!(
                        "must give {name:?} the scale it was loaded with ({}), got {scale}: the NPU runtime fixes it; \
                         load the file once more under another name with the other scale",
                        loaded.scale
                    );
                    return Err(Error::unsupported("lora", message));
                }
                Ok(Some(loaded.name.clone()))
            }
            more => {
                let message =
                    format!("must name one adapter, got {}: the NPU runtime takes one a run", more.len());
                Err(Error::unsupported("lora", message))
            }
        }
    }

    /// Ends the run under way; what was computed under another adapter is of no use under this one.
    pub(super) fn change_adapter(&mut self, adapters: &Adapters) -> Result<(), Error> {
        self.stop()?;
        let wanted = adapters.first().map(|(name, _)| name.clone());
        if self.active_adapter != wanted {
            self.cached.clear();
            self.session.call(|handle| handle.clear_cache(ClearCache::All))??;
            self.active_adapter = wanted;
        }
        Ok(())
    }
}
