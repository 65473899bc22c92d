//! Conversations in files: what the cache holds of one, saved and loaded again.

mod file;
mod origin;
mod sum;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rkllmjs_core::{Adapters, Detail, Error, ErrorCode, PrefixCache, SavedPrefix};
use serde_json::{Value, json};

pub(crate) use origin::{Origin, of_file, of_rows};

use self::file::{SavedAdapter, State, StateLimits, refused, stopped};
use crate::model::{AdapterNames, Model, PromptInput, closed};

/// Most conversations of a model that are saved or loaded at the same time; each takes its memory twice.
const UNDER_WAY_MAX: usize = 16;
/// How often whoever waits for the engine's thread looks whether to go on.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// As in a request.
const TENANT_BYTES_MAX: usize = 256;

/// What a model's saved conversations belong to.
#[derive(Debug, Clone)]
pub(crate) struct StateFacts {
    pub(crate) origin: Origin,
    /// More than all cells of the model take.
    pub(crate) cells_bytes: u64,
}

/// Which conversation to save.
#[derive(Debug, Clone, Default)]
pub struct SaveStateOptions {
    /// The one that begins most like this; where nobody says, the one that ended last.
    pub prompt: Option<PromptInput>,
    /// Whose it is.
    pub tenant: Option<String>,
}

impl Model {
    /// Writes what the cache holds of a conversation to a file. Blocks for as long as that takes; answers get
    /// their steps in between.
    ///
    /// # Errors
    ///
    /// `not-found` where nothing is kept of it; `invalid-request` for a path that cannot be written;
    /// `engine-failed` where the disk is full; `unsupported` by models that keep nothing for later requests;
    /// `overloaded`, `insufficient-memory`; `unavailable` once `cancelled`.
    pub fn save_state(
        &self,
        path: &Path,
        options: SaveStateOptions,
        cancelled: &Arc<AtomicBool>,
    ) -> Result<Value, Error> {
        let facts = self.state_facts()?;
        let SaveStateOptions { prompt, tenant } = options;
        check_tenant(tenant.as_deref())?;
        // Before anything is copied; by the time of the writing it may be otherwise.
        file::check_target(path)?;
        let _turn = Turn::take(self.states_under_way())?;
        let prompt = prompt.map(|prompt| self.prompt_tokens(&prompt)).transpose()?;
        if prompt.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::option("prompt", "is empty: leave it out to save what ended last"));
        }
        let names = self.adapter_names();
        let state = self.ask_cache(cancelled, move |cache| {
            let saved = cache.save(tenant.as_deref(), prompt.as_deref())?;
            // Here, where no adapter can take over the name of another meanwhile.
            let adapters = identities(&saved.adapters, &names)?;
            Ok(State { adapters, tokens: saved.tokens, cells: saved.cells })
        })?;
        let bytes = file::write(path, &facts.origin, &state, cancelled)?;
        Ok(json!({ "tokens": state.tokens.len(), "bytes": bytes }))
    }

    /// Makes what [`save_state`](Self::save_state) has written a beginning that later requests of `tenant` find in
    /// the cache. Blocks for as long as that takes; answers get their steps in between.
    ///
    /// # Errors
    ///
    /// `not-found` without such a file; `model-invalid` for one that was not saved by this model, or not under
    /// an adapter that is loaded, or is damaged; `context-exceeded`; `overloaded` where what runs leaves no room;
    /// the others as there.
    pub fn load_state(
        &self,
        path: &Path,
        tenant: Option<String>,
        cancelled: &Arc<AtomicBool>,
    ) -> Result<Value, Error> {
        let facts = self.state_facts()?;
        check_tenant(tenant.as_deref())?;
        let _turn = Turn::take(self.states_under_way())?;
        let context = self.handle().limits().context;
        let vocabulary = self.tokenizer()?.vocabulary_size();
        let limits = StateLimits { context, cells_bytes: facts.cells_bytes, vocabulary };
        let State { adapters, tokens, cells } = file::read(path, &facts.origin, &limits, cancelled)?;
        let count = tokens.len();
        let names = self.adapter_names();
        let own = path.to_owned();
        let loaded = self.ask_cache(cancelled, move |cache| {
            let adapters = named(&adapters, &names).ok_or_else(|| no_adapter(&own))?;
            cache.load(SavedPrefix { tenant, adapters, tokens, cells })
        });
        loaded.map_err(|error| explained(error, path))?;
        Ok(json!({ "tokens": count }))
    }

    /// Runs `work` on the engine's thread between two steps.
    fn ask_cache<T: Send + 'static>(
        &self,
        cancelled: &Arc<AtomicBool>,
        work: impl FnOnce(&mut PrefixCache<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, receiver) = sync_channel(1);
        let stop = Arc::clone(cancelled);
        self.handle().with_cache(move |cache| {
            let is_stopped = stop.load(Ordering::SeqCst);
            // Nobody listens any more once the caller was stopped.
            let _ = sender.send(match cache {
                Ok(_) if is_stopped => Err(stopped()),
                Ok(mut cache) => work(&mut cache),
                Err(error) => Err(error),
            });
        });
        loop {
            match receiver.recv_timeout(LOOK_EVERY) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) if cancelled.load(Ordering::SeqCst) => return Err(stopped()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(closed()),
            }
        }
    }
}

/// What tells the adapters of a conversation apart from others, whatever their names.
fn identities(adapters: &Adapters, names: &AdapterNames) -> Result<Vec<SavedAdapter>, Error> {
    let names = names.lock().unwrap_or_else(PoisonError::into_inner);
    let saved = adapters.iter().map(|(name, scale)| {
        let identity = names.get(name).cloned().flatten()?;
        Some(SavedAdapter { identity, scale: *scale })
    });
    saved.collect::<Option<_>>().ok_or_else(|| {
        Error::new(ErrorCode::NotFound, "the conversation ran under an adapter that was unloaded since")
    })
}

/// The adapters under the names that they have now; `None` if one is not loaded.
fn named(adapters: &[SavedAdapter], names: &AdapterNames) -> Option<Adapters> {
    let names = names.lock().unwrap_or_else(PoisonError::into_inner);
    let mut named = Adapters::new();
    for adapter in adapters {
        let is_free = |name: &String| named.iter().all(|(other, _)| other != name);
        let own = names.iter().filter(|(_, identity)| identity.as_ref() == Some(&adapter.identity));
        let name = own.map(|(name, _)| name).find(|name| is_free(name))?.clone();
        named.push((name, adapter.scale));
    }
    named.sort_by(|a, b| a.0.cmp(&b.0));
    Some(named)
}

fn no_adapter(path: &Path) -> Error {
    let what = "was saved under an adapter or a control vector that is not loaded; load the same file first, under \
                any name";
    refused(path, what).with("part", Detail::Text("adapter".to_owned()))
}

/// The engine's refusal of what is in the file.
fn explained(error: Error, path: &Path) -> Error {
    if error.code != ErrorCode::ModelInvalid || !error.details.is_empty() {
        return error;
    }
    refused(path, &format!("cannot be restored: {}", error.message))
        .with("part", Detail::Text("cells".to_owned()))
}

fn check_tenant(tenant: Option<&str>) -> Result<(), Error> {
    match tenant.map(str::len) {
        Some(bytes) if bytes > TENANT_BYTES_MAX => {
            Err(Error::option("tenant", format!("holds at most {TENANT_BYTES_MAX} bytes, got {bytes}")))
        }
        _ => Ok(()),
    }
}

/// A place among those that are saved or loaded at the same time.
struct Turn<'a>(&'a AtomicUsize);

impl<'a> Turn<'a> {
    fn take(under_way: &'a AtomicUsize) -> Result<Self, Error> {
        if under_way.fetch_add(1, Ordering::SeqCst) >= UNDER_WAY_MAX {
            under_way.fetch_sub(1, Ordering::SeqCst);
            let message = format!(
                "{UNDER_WAY_MAX} conversations are being saved or loaded; wait for one of them to end"
            );
            return Err(Error::new(ErrorCode::Overloaded, message));
        }
        Ok(Self(under_way))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
