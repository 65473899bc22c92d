//! What a saved prompt cache belongs to, and which runs may use a loaded one.

use std::path::Path;

use rkllmjs_core::{Adapters, Detail, Error, ErrorCode};

use super::RkllmEngine;
use super::input::c_path;
use crate::prompt_cache::{self, Fingerprint, Origin, of_texts};

/// What decides how a conversation becomes a prompt.
#[derive(Debug, Default)]
pub(super) struct Templates {
    pub(super) model: Option<String>,
    /// What the runtime's own was told.
    pub(super) runtime: Option<[String; 3]>,
    pub(super) tools: Option<[String; 3]>,
}

impl Templates {
    fn fingerprint(&self) -> Fingerprint {
        let told = [&self.runtime, &self.tools].into_iter().flatten().flatten();
        of_texts(self.model.as_deref().into_iter().chain(told.map(String::as_str)))
    }
}

/// A prompt cache that the runtime has loaded, and under which adapter it was made.
#[derive(Debug)]
pub(super) struct LoadedCache {
    adapter: Option<Fingerprint>,
}

impl RkllmEngine {
    fn adapter_fingerprint(&self, wanted: &Adapters) -> Option<Fingerprint> {
        let (name, _) = wanted.first()?;
        self.adapters.get(name).map(|adapter| adapter.fingerprint.clone())
    }

    /// What a cache that is saved under `adapters` belongs to.
    pub(super) fn origin(&self, adapters: &Adapters) -> Origin {
        Origin {
            model: self.model_fingerprint.clone(),
            template: self.templates.fingerprint(),
            runtime: self.runtime_version.clone(),
            adapter: self.adapter_fingerprint(adapters),
        }
    }

    /// Refuses a run for which the loaded prompt cache would be wrong: the runtime would use it all the same.
    pub(super) fn check_prompt_cache(&self, adapters: &Adapters) -> Result<(), Error> {
        match &self.prompt_cache {
            Some(cache) if cache.adapter != self.adapter_fingerprint(adapters) => {
                let own =
                    self.adapters.iter().find(|(_, one)| Some(&one.fingerprint) == cache.adapter.as_ref());
                let own = own.map_or_else(|| "no adapter".to_owned(), |(name, _)| format!("{name:?}"));
                let message = format!(
                    "must be {own}, under which the loaded prompt cache was saved; or release that cache first"
                );
                Err(Error::option("lora", message))
            }
            _ => Ok(()),
        }
    }

    /// Hands a saved cache to the runtime once it is known to be this model's.
    pub(super) fn load_prompt_cache(&mut self, path: &Path) -> Result<(), Error> {
        let adapter = prompt_cache::check(path, &self.origin(&Adapters::new()))?;
        let is_loaded = |wanted: &Fingerprint| self.adapters.values().any(|one| one.fingerprint == *wanted);
        if adapter.as_ref().is_some_and(|adapter| !is_loaded(adapter)) {
            let message = format!(
                "the prompt cache {} was saved under an adapter that is not loaded; load it first, with the same scale",
                path.display()
            );
            return Err(Error::new(ErrorCode::ModelInvalid, message)
                .with("path", Detail::Text(path.display().to_string()))
                .with("part", Detail::Text("adapter".to_owned())));
        }
        let c_path = c_path("path", path)?;
        self.cached.clear();
        self.session.call(move |handle| handle.load_prompt_cache(c_path))??;
        self.prompt_cache = Some(LoadedCache { adapter });
        Ok(())
    }
}
