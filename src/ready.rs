use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use napi::Status;
use napi::bindgen_prelude::Function;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue};
use rkllmjs_chat::Delta;
use rkllmjs_runtime::{Answer, AnswerPart};
use serde_json::Value;

use crate::generation::news;

/// Never keeps the process alive: whether somebody waits is known in JavaScript only.
type Callback = ThreadsafeFunction<(), UnknownReturnValue, String, Status, false, true, 0>;

/// Carries news from the engine's thread to JavaScript: one call for everything that has piled up
/// since the last one, whichever generations it belongs to.
#[derive(Default)]
pub(crate) struct ReadyQueue {
    callback: OnceLock<Callback>,
    called: AtomicBool,
    ids: Mutex<Vec<u32>>,
    answers: Mutex<HashMap<u32, Arc<Answer>>>,
    next: AtomicU32,
}

impl ReadyQueue {
    pub(crate) fn attach(
        self: &Arc<Self>,
        on_ready: &Function<'_, String, UnknownReturnValue>,
    ) -> napi::Result<()> {
        let queue = Arc::downgrade(self);
        let callback =
            on_ready.build_threadsafe_function::<()>().weak::<true>().build_callback(move |_| {
                Ok(queue.upgrade().map_or_else(|| "[]".to_owned(), |queue| queue.drain()))
            })?;
        // A second attach would leave the first listener without news, so it changes nothing.
        let _ = self.callback.set(callback);
        Ok(())
    }

    pub(crate) fn next_id(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn insert(&self, id: u32, answer: Arc<Answer>) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(id, answer);
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

    /// Takes all news, as a JSON array. Runs on the JavaScript thread, where to parse one string costs
    /// a tenth of making the same objects through the addon's interface.
    fn drain(&self) -> String {
        self.called.store(false, Ordering::SeqCst);
        let ids = std::mem::take(&mut *self.ids.lock().unwrap_or_else(PoisonError::into_inner));
        ids.into_iter().filter_map(|id| self.news(id)).collect::<Value>().to_string()
    }

    fn news(&self, id: u32) -> Option<Value> {
        let answer = self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(&id).map(Arc::clone)?;
        let mut parts = Vec::new();
        let end = answer.take(&mut parts);
        if end.is_some() {
            self.answers.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        }
        Some(news(id, joined(parts), end))
    }
}

/// Joins text that follows on each other in one choice: an object costs JavaScript more than its contents.
fn joined(parts: Vec<AnswerPart>) -> Vec<AnswerPart> {
    let mut joined: Vec<AnswerPart> = Vec::with_capacity(parts.len());
    for part in parts {
        match (joined.last_mut(), &part.delta) {
            (Some(AnswerPart { index, delta: Delta::Text(all), tokens, logprobs }), Delta::Text(text))
                if *index == part.index =>
            {
                all.push_str(text);
                tokens.extend(part.tokens);
                logprobs.extend(part.logprobs);
            }
            _ => joined.push(part),
        }
    }
    joined
}
