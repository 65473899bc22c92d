//! What generating costs over the limit: the same tokens from a bare loop over llama.cpp.
//!
//! Both sides decode greedily with one thread on the tiny model, in turns. CPU time is that of the
//! whole process, so whatever a queue or a delivery costs on another thread counts.
//!
//! `cargo bench -p rkllmjs-llama` prints a table, with `-- --json` one line of JSON.

mod bare;

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bare::{Bare, Layout, Outcome, Settings, cpu_time};
use rkllmjs_core::{
    GenerateOptions, ModelHandle, ModelSettings, OptionSupport, Part, Request, Special, Token, Tokenizer,
    Usage,
};
use rkllmjs_llama::{EngineOptions, KvType, LlamaEngine, LoadOptions, Model, Pooling};

/// The model repeats this for as long as it is let, so nothing has to keep it from ending.
const PROMPT: &str = " horse horse horse";
/// Rounds measured, after one that is not. Many short ones: a shared machine is as fast from one answer
/// to the next, and not a minute later.
const ROUNDS: usize = 91;
/// Tokens of the one answer that each side gives in a round.
const TOKENS: u32 = 400;
const CONTEXT: u32 = 1024;

fn main() -> Outcome<()> {
    let json = std::env::args().any(|argument| argument == "--json");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny/rkllmjs-tiny-q8_0.gguf");
    let model = Model::load(&path, &LoadOptions::default(), |_| true)?;
    let prompt = model.tokenize(PROMPT, Special { add: false, parse: true })?;
    let settings = Settings { threads: 1, cells: CONTEXT, batch: 512, sequences: 1, layout: Layout::Unified };
    let mut bare = Bare::new(&path, settings)?;
    let bare_prompt = [prompt.iter().map(|token| token.cast_signed()).collect::<Vec<i32>>()];
    let mut bare_answer = || bare.answer(&bare_prompt, TOKENS as usize);
    let running = Running::new(model, &prompt)?;

    let answered: Vec<i32> = running.answer(false)?.iter().map(|token| token.cast_signed()).collect();
    if bare_answer()?.tokens != [answered] {
        return Err("the two sides give different tokens".into());
    }
    let mut rows: [Vec<Cost>; 3] = Default::default();
    for round in 0..=ROUNDS {
        // The order turns from round to round, so that drift is shared.
        for turn in 0..rows.len() {
            let side = (round + turn) % rows.len();
            let cost = match side {
                0 => measure(|| bare_answer().map(drop))?,
                _ => measure(|| running.answer(side == 2).map(drop))?,
            };
            if let (Some(row), true) = (rows.get_mut(side), round > 0) {
                row.push(cost);
            }
        }
    }
    report(&rows, json)
}

/// What a token costs.
#[derive(Debug, Clone, Copy)]
struct Cost {
    cpu: f64,
    wall: f64,
}

fn measure(answer: impl FnOnce() -> Outcome<()>) -> Outcome<Cost> {
    let (cpu, wall) = (cpu_time(), Instant::now());
    answer()?;
    let tokens = f64::from(TOKENS);
    Ok(Cost { cpu: (cpu_time() - cpu).as_secs_f64() / tokens, wall: wall.elapsed().as_secs_f64() / tokens })
}

/// The same model behind the scheduler.
struct Running {
    handle: ModelHandle,
    request: Request,
}

impl Running {
    fn new(model: Arc<Model>, prompt: &[Token]) -> Outcome<Self> {
        let options = GenerateOptions {
            temperature: Some(0.0),
            top_k: Some(0.0),
            top_p: Some(1.0),
            min_p: Some(0.0),
            max_tokens: Some(f64::from(TOKENS)),
            ..GenerateOptions::default()
        };
        let mut request = options.build(&OptionSupport::default(), model.vocabulary_size(), 1)?;
        request.prompt = prompt.to_vec();
        let engine = LlamaEngine::new(
            model,
            EngineOptions {
                context: CONTEXT,
                cells: CONTEXT,
                sequences: 1,
                batch: 512,
                threads: 1,
                threads_batch: 1,
                kv_type: KvType::F16,
                flash_attention: None,
                pooling: Pooling::Model,
                model_pools: false,
                encoder_only: false,
                embeds_with_encoder: false,
                log: None,
            },
        )?;
        let handle = ModelHandle::start(Box::new(engine), ModelSettings::default())?;
        Ok(Self { handle, request })
    }

    /// The tokens of an answer, waited for or read part by part.
    fn answer(&self, streamed: bool) -> Outcome<Vec<Token>> {
        let request = self.request.clone();
        let (generation, submission) = if streamed {
            let reader = std::thread::current();
            self.handle.begin(1, Box::new(move || reader.unpark()))?
        } else {
            self.handle.begin(1, Box::new(|| {}))?
        };
        if streamed {
            generation.stream();
        }
        submission.start(request);
        let mut tokens = Vec::with_capacity(TOKENS as usize);
        let mut parts = Vec::new();
        let outcome = loop {
            if !streamed {
                break generation.wait();
            }
            let outcome = generation.take(&mut parts);
            let read = parts.len();
            for Part::TextDelta { tokens: made, .. } in parts.drain(..) {
                tokens.extend(made);
            }
            generation.acknowledge(read);
            if let Some(outcome) = outcome {
                break outcome;
            }
            std::thread::park();
        };
        if let Some(error) = outcome.error {
            return Err(error.into());
        }
        let Usage { completion_tokens, .. } = outcome.usage;
        if completion_tokens != u64::from(TOKENS) {
            return Err(format!("the answer has {completion_tokens} tokens").into());
        }
        Ok(if streamed { tokens } else { generation.tokens(0) })
    }
}

fn report(rows: &[Vec<Cost>; 3], json: bool) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    let [bare, waited, streamed] = rows;
    let mut lines = Vec::new();
    for (name, all) in [("limit", bare), ("generate", waited), ("stream", streamed)] {
        let micros = |of: fn(&Cost) -> f64| Spread::of(all.iter().map(|cost| of(cost) * 1e6).collect());
        // Round by round, so that what slows both down cancels out.
        let ratio = Spread::of(bare.iter().zip(all).map(|(limit, one)| limit.cpu / one.cpu).collect());
        lines.push((name, micros(|cost| cost.cpu), micros(|cost| cost.wall), ratio));
    }
    if json {
        let fields: Vec<String> = lines
            .iter()
            .map(|(name, cpu, wall, ratio)| {
                format!(
                    "\"{name}\":{{\"cpu_us_per_token\":{},\"wall_us_per_token\":{},\"ratio_of_limit\":{}}}",
                    cpu.json(),
                    wall.json(),
                    ratio.json()
                )
            })
            .collect();
        writeln!(out, "{{\"rounds\":{ROUNDS},\"tokens\":{TOKENS},{}}}", fields.join(","))?;
        return Ok(());
    }
    writeln!(out, "{ROUNDS} rounds of an answer of {TOKENS} tokens; median (lower to upper quartile)")?;
    writeln!(out, "{:<10}{:>32}{:>32}{:>26}", "", "CPU µs/token", "wall µs/token", "limit / this, CPU")?;
    for (name, cpu, wall, ratio) in lines {
        writeln!(out, "{name:<10}{:>32}{:>32}{:>26}", cpu.text(2), wall.text(2), ratio.text(4))?;
    }
    Ok(())
}

/// Median and quartiles.
struct Spread([f64; 3]);

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |quarter: usize| values.get((values.len() - 1) * quarter / 4).copied().unwrap_or(f64::NAN);
        Self([at(1), at(2), at(3)])
    }

    fn text(&self, digits: usize) -> String {
        let [low, middle, high] = self.0;
        format!("{middle:.digits$} ({low:.digits$} to {high:.digits$})")
    }

    fn json(&self) -> String {
        let [low, middle, high] = self.0;
        format!("{{\"median\":{middle:.5},\"quartiles\":[{low:.5},{high:.5}]}}")
    }
}
