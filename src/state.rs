use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use napi::Env;
use napi::bindgen_prelude::{Either, Uint32Array};
use napi_derive::napi;
use rkllmjs_core::Error;
use rkllmjs_runtime::{PromptInput, SaveStateOptions};

use crate::model::{NativeModel, conversation};
use crate::task::{NativeTask, on_a_thread};

/// What a saved conversation begins with: text, tokens, or messages and the template's options as JSON.
#[napi(object)]
pub struct NativeSavedPrompt {
    pub raw: Option<Either<String, Uint32Array>>,
    pub messages: Option<String>,
    pub chat_options: Option<String>,
}

/// What can leave this thread.
enum Given {
    Raw(PromptInput),
    Messages(String, String),
    Nothing,
}

impl From<NativeSavedPrompt> for Given {
    fn from(prompt: NativeSavedPrompt) -> Self {
        match (prompt.raw, prompt.messages) {
            (Some(Either::A(text)), _) => Self::Raw(PromptInput::Text(text)),
            (Some(Either::B(tokens)), _) => Self::Raw(PromptInput::Tokens(tokens.to_vec())),
            (None, Some(messages)) => Self::Messages(messages, prompt.chat_options.unwrap_or_default()),
            (None, None) => Self::Nothing,
        }
    }
}

impl Given {
    fn read(self) -> Result<Option<PromptInput>, Error> {
        match self {
            Self::Raw(prompt) => Ok(Some(prompt)),
            Self::Messages(messages, options) => {
                let (messages, render) = conversation(&messages, &options)?;
                Ok(Some(PromptInput::Messages(messages, render, Vec::new())))
            }
            Self::Nothing => Ok(None),
        }
    }
}

#[napi]
impl NativeModel {
    /// Makes it ready to save what the cache holds of a conversation.
    #[napi(catch_unwind)]
    pub fn save_state(
        &self,
        env: &Env,
        path: String,
        prompt: NativeSavedPrompt,
        tenant: Option<String>,
    ) -> napi::Result<NativeTask> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let (model, stop) = (self.model.clone(), Arc::clone(&cancelled));
        let given = Given::from(prompt);
        NativeTask::new(env, cancelled, move |done| {
            on_a_thread("rkllmjs-save", done, move || {
                let options = SaveStateOptions { prompt: given.read()?, tenant };
                model.save_state(&PathBuf::from(path), options, &stop)
            });
        })
    }

    /// Makes it ready to load a saved conversation.
    #[napi(catch_unwind)]
    pub fn load_state(&self, env: &Env, path: String, tenant: Option<String>) -> napi::Result<NativeTask> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let (model, stop) = (self.model.clone(), Arc::clone(&cancelled));
        NativeTask::new(env, cancelled, move |done| {
            on_a_thread("rkllmjs-load-state", done, move || {
                model.load_state(&PathBuf::from(path), tenant, &stop)
            });
        })
    }
}
