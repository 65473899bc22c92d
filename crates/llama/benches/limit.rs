//! The bare loop as a contender of `bench/compare.mjs`: reads requests as lines of JSON and answers so.
//!
//! - `{"op":"load","model":…,"threads":2,"cells":…,"sequences":…,"layout":"unified"|"separate"}`
//! - `{"op":"run","prompts":[…],"maxTokens":n}` → `{wallMs, cpuMs, firstTokenMs[], promptTokens, completionTokens}`
//!
//! What cannot be done is answered with `{"error":…}`.

mod bare;

use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bare::{Bare, Outcome, Settings, cpu_time};
use rkllmjs_core::{Special, Tokenizer as _};
use rkllmjs_llama::Model;
use serde_json::{Value, json};

/// Most tokens computed in one step, as in the engine.
const BATCH: u32 = 512;

fn main() -> Outcome<()> {
    let mut loaded = None;
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let reply = match request.get("op").and_then(Value::as_str) {
            Some("load") => load(&request).map(|(contender, reply)| {
                loaded = Some(contender);
                reply
            }),
            Some("run") => match &mut loaded {
                Some(contender) => contender.run(&request),
                None => Err("nothing is loaded".into()),
            },
            _ => Err(format!("no such request: {request}").into()),
        };
        let reply = reply.unwrap_or_else(|error| json!({ "error": error.to_string() }));
        writeln!(std::io::stdout().lock(), "{reply}")?;
    }
    Ok(())
}

struct Contender {
    bare: Bare,
    /// Tokenizes; its weights are not used.
    model: Arc<Model>,
}

fn load(request: &Value) -> Outcome<(Contender, Value)> {
    let began = Instant::now();
    let path = Path::new(text(request, "model")?);
    let settings = Settings {
        threads: u16::try_from(number(request, "threads")?)?,
        cells: u32::try_from(number(request, "cells")?)?,
        batch: BATCH,
        sequences: u32::try_from(number(request, "sequences")?)?,
        layout: text(request, "layout")?.parse()?,
    };
    let bare = Bare::new(path, settings)?;
    let load_ms = began.elapsed().as_secs_f64() * 1e3;
    let model = Model::load_vocabulary(path)?;
    Ok((Contender { bare, model }, json!({ "loadMs": load_ms })))
}

impl Contender {
    fn run(&mut self, request: &Value) -> Outcome<Value> {
        let texts = request.get("prompts").and_then(Value::as_array).ok_or("prompts is a list of texts")?;
        let prompts = texts
            .iter()
            .map(|text| {
                let text = text.as_str().ok_or("a prompt is a text")?;
                let tokens = self.model.tokenize(text, Special { add: true, parse: true })?;
                Ok(tokens.iter().map(|token| token.cast_signed()).collect())
            })
            .collect::<Outcome<Vec<Vec<i32>>>>()?;
        let most = usize::try_from(number(request, "maxTokens")?)?;
        let (cpu, wall) = (cpu_time(), Instant::now());
        let answers = self.bare.answer(&prompts, most)?;
        Ok(json!({
            "wallMs": wall.elapsed().as_secs_f64() * 1e3,
            "cpuMs": (cpu_time() - cpu).as_secs_f64() * 1e3,
            "firstTokenMs": answers.first.iter().map(Duration::as_secs_f64).map(|s| s * 1e3).collect::<Vec<f64>>(),
            "promptTokens": prompts.iter().map(Vec::len).sum::<usize>(),
            "completionTokens": answers.tokens.iter().map(Vec::len).sum::<usize>(),
        }))
    }
}

fn text<'a>(request: &'a Value, name: &str) -> Outcome<&'a str> {
    Ok(request.get(name).and_then(Value::as_str).ok_or_else(|| format!("{name} is missing"))?)
}

fn number(request: &Value, name: &str) -> Outcome<u64> {
    Ok(request.get(name).and_then(Value::as_u64).ok_or_else(|| format!("{name} is missing"))?)
}
