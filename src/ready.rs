use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use napi::Status;
use napi::bindgen_prelude::Function;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue};
use napi_derive::napi;
use rkllmjs_core::{Generation, Part};

use crate::generation::{NativeEnd, NativePart, native_end, native_part};

/// News of one generation.
#[napi(object)]
pub struct NativeReady {
    /// Whose.
    pub id: u32,
    /// The parts since the last news.
    pub parts: Vec<NativePart>,
    /// Its end, once nothing comes before it.
    pub end: Option<NativeEnd>,
}

/// Never keeps the process alive: whether somebody waits is known in JavaScript only.
type Callback = ThreadsafeFunction<(), UnknownReturnValue, Vec<NativeReady>, Status, false, true, 0>;

/// Carries news from the engine's thread to JavaScript: one call for everything that has piled up
/// since the last one, whichever generations it belongs to.
#[derive(Default)]
pub(crate) struct ReadyQueue {
    callback: OnceLock<Callback>,
    called: AtomicBool,
    ids: Mutex<Vec<u32>>,
    generations: Mutex<HashMap<u32, Arc<Generation>>>,
    next: AtomicU32,
}

impl ReadyQueue {
    pub(crate) fn attach(
        self: &Arc<Self>,
        on_ready: &Function<'_, Vec<NativeReady>, UnknownReturnValue>,
    ) -> napi::Result<()> {
        let queue = Arc::downgrade(self);
        let callback = on_ready
            .build_threadsafe_function::<()>()
            .weak::<true>()
            .build_callback(move |_| Ok(queue.upgrade().map(|queue| queue.drain()).unwrap_or_default()))?;
        // A second attach would leave the first listener without news, so it changes nothing.
        let _ = self.callback.set(callback);
        Ok(())
    }

    pub(crate) fn next_id(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn insert(&self, id: u32, generation: Arc<Generation>) {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner).insert(id, generation);
    }

    /// What the engine's thread calls when generation `id` has something new.
    pub(crate) fn notifier(self: &Arc<Self>, id: u32) -> Box<dyn Fn() + Send + Sync> {
        let queue = Arc::downgrade(self);
        Box::new(move || {
            if let Some(queue) = queue.upgrade() {
                queue.mark(id);
            }
        })
    }

    fn mark(&self, id: u32) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if !ids.contains(&id) {
            ids.push(id);
        }
        drop(ids);
        if !self.called.swap(true, Ordering::SeqCst)
            && let Some(callback) = self.callback.get()
        {
            callback.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    /// Takes all news. Runs on the JavaScript thread.
    fn drain(&self) -> Vec<NativeReady> {
        self.called.store(false, Ordering::SeqCst);
        let ids = std::mem::take(&mut *self.ids.lock().unwrap_or_else(PoisonError::into_inner));
        ids.into_iter().filter_map(|id| self.news(id)).collect()
    }

    fn news(&self, id: u32) -> Option<NativeReady> {
        let generation =
            self.generations.lock().unwrap_or_else(PoisonError::into_inner).get(&id).map(Arc::clone)?;
        let mut parts = Vec::new();
        let outcome = generation.take(&mut parts);
        let end = outcome.map(|outcome| {
            self.generations.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            native_end(&generation, outcome)
        });
        Some(NativeReady { id, parts: joined(parts).into_iter().map(native_part).collect(), end })
    }
}

/// Joins what follows on each other in one choice: an object costs JavaScript more than its contents.
fn joined(parts: Vec<Part>) -> Vec<Part> {
    let mut joined: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        let Part::TextDelta { index, text, tokens, logprobs } = part;
        match joined.last_mut() {
            Some(Part::TextDelta { index: last, text: all, tokens: all_tokens, logprobs: all_logprobs })
                if *last == index =>
            {
                all.push_str(&text);
                all_tokens.extend(tokens);
                all_logprobs.extend(logprobs);
            }
            _ => joined.push(Part::TextDelta { index, text, tokens, logprobs }),
        }
    }
    joined
}
