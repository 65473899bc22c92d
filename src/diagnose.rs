use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use napi::Env;
use napi::bindgen_prelude::Object;
use napi_derive::napi;
use rkllmjs_core::Error;
use rkllmjs_runtime::Question;
use serde_json::Value;

use crate::deferred::promise;
use crate::error::{NativeResult, as_value, internal, with_camel_case_names};

/// What this machine can run and why not more, as JSON.
#[napi(catch_unwind, ts_return_type = "Promise<string | NativeError>")]
pub fn diagnose(
    env: &Env,
    models: Vec<String>,
    library_path: Option<String>,
    addon_folder: String,
) -> napi::Result<Object<'_>> {
    let question = Question {
        models: models.into_iter().map(PathBuf::from).collect(),
        library_path: library_path.map(PathBuf::from),
        addon_folder: Some(PathBuf::from(addon_folder)),
    };
    on_a_thread(env, move || {
        let mut report = rkllmjs_runtime::diagnose(&question)?;
        write_names_in_camel_case(&mut report);
        Ok(report.to_string())
    })
}

/// What the system tells about the NPU, as JSON.
#[napi(catch_unwind, ts_return_type = "Promise<string | NativeError>")]
pub fn npu_status(env: &Env) -> napi::Result<Object<'_>> {
    on_a_thread(env, || Ok(rkllmjs_runtime::npu_status().to_string()))
}

/// Files of the kernel may take their time, so that they are not read where JavaScript runs.
fn on_a_thread(
    env: &Env,
    read: impl FnOnce() -> Result<String, Error> + Send + 'static,
) -> napi::Result<Object<'_>> {
    let (deferred, promise) = promise::<NativeResult<String>>(env)?;
    let work = move || {
        let report = catch_unwind(AssertUnwindSafe(read));
        deferred.resolve(as_value(report.unwrap_or_else(|_| Err(internal("the diagnosis panicked")))));
    };
    let thread = std::thread::Builder::new().name("rkllmjs-diagnose".to_owned()).spawn(work);
    thread.map(|_| promise).map_err(|e| napi::Error::from_reason(format!("no thread to look around: {e}")))
}

/// Sentences for people name options; paths are left as they are.
fn write_names_in_camel_case(report: &mut Value) {
    match report {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if matches!(name.as_str(), "reason" | "message" | "fix") => {
                        *text = with_camel_case_names(text);
                    }
                    Value::Array(texts) if matches!(name.as_str(), "missing" | "notes") => {
                        for text in texts {
                            if let Value::String(text) = text {
                                *text = with_camel_case_names(text);
                            }
                        }
                    }
                    value => write_names_in_camel_case(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(write_names_in_camel_case),
        _ => {}
    }
}
