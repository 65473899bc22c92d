//! Which of several documents answer a query best. Where the model has no head that says so, it is asked about each
//! and its "yes" is weighed against its "no".

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rkllmjs_chat::{Messages, RenderOptions};
use rkllmjs_core::{
    Detail, Error, ErrorCode, GenerateOptions, Generation, OptionFact, Special, Token, TokenLogprob,
    Tokenizer,
};
use serde_json::{Value, json};

use crate::model::{Model, WeakModel, closed};
use crate::rank_head::Ranks;

/// Most documents of one call.
const DOCUMENTS_MAX: usize = 1024;
/// How many documents to name.
const TOP_N: OptionFact = OptionFact::whole("top_n", "all", 1.0, DOCUMENTS_MAX as f64, "Most results.");
/// Words whose first tokens are weighed.
const WORDS: [&str; 2] = ["yes", "no"];
/// What the documents are to be looked at for where the caller does not say.
pub(crate) const INSTRUCTION: &str = "Find the passages that answer the query";
/// What the model is asked to do. The names of the fields are those that reranking models know.
const TASK: &str = "You are given an <Instruct>, a <Query> and a <Document>. Decide whether the document does \
                    for the query what the instruction asks. Answer with one word, \"yes\" or \"no\".";

/// What to compare.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RerankInput {
    /// What the documents should answer.
    pub query: String,
    /// The documents.
    pub documents: Vec<String>,
    /// What makes a document fit the query, in one sentence.
    pub instruction: Option<String>,
    /// How many documents to name, the best first; all where it is `None`.
    pub top_n: Option<f64>,
}

/// Documents in the order of their scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// Places in the list of documents, each with its score from 0 to 1.
    pub results: Vec<(usize, f64)>,
    /// Tokens of all prompts.
    pub prompt_tokens: u64,
}

/// Takes what came of a comparison.
pub(crate) type RerankDone = Box<dyn FnOnce(Result<Ranking, Error>) + Send>;

impl Ranking {
    /// The best of `scores`, as many as are wanted; equal ones stay in their order.
    pub(crate) fn best(mut scores: Vec<(usize, f64)>, top_n: Option<f64>, prompt_tokens: u64) -> Self {
        scores.sort_by(|(a, one), (b, other)| other.total_cmp(one).then(a.cmp(b)));
        scores.truncate(top_n.map_or(usize::MAX, |most| most as usize));
        Self { results: scores, prompt_tokens }
    }
}

/// A comparison under way: as many documents at once as the model computes.
struct Rerank {
    model: WeakModel,
    input: RerankInput,
    most: usize,
    state: Mutex<State>,
}

struct State {
    /// The first document that was not asked about.
    next: usize,
    running: HashMap<usize, Generation>,
    scores: Vec<(usize, f64)>,
    prompt_tokens: u64,
    /// `None` once it was told.
    done: Option<RerankDone>,
}

impl Model {
    /// Orders documents by how well they answer a query; `done` hears of it on another thread.
    ///
    /// Scores are from 0 to 1. A model with a head for it reads the query and a document together, and its head
    /// gives the score. Any other is asked: each document is a request of its own, with a prompt that the chat
    /// template renders, and its score is the probability of "yes" where only "yes" and "no" count.
    pub fn rerank(&self, input: RerankInput, done: impl FnOnce(Result<Ranking, Error>) + Send + 'static) {
        if let Err(error) = check_rerank(&input) {
            return done(Err(error));
        }
        match self.ranks() {
            Ranks::Not(refusal) => done(Err(refusal.clone())),
            Ranks::ByHead(head) => self.rank_by_head(Arc::clone(head), input, Box::new(done)),
            Ranks::ByAnswer => self.rank_by_answers(input, Box::new(done)),
        }
    }

    fn rank_by_answers(&self, input: RerankInput, done: RerankDone) {
        let most = self.handle().limits().sequences as usize;
        let state = State {
            next: 0,
            running: HashMap::new(),
            scores: Vec::with_capacity(input.documents.len()),
            prompt_tokens: 0,
            done: Some(done),
        };
        let rerank = Rerank { model: self.downgrade(), most, input, state: Mutex::new(state) };
        Arc::new(rerank).go_on();
    }

    /// Asks about one document.
    fn ask_about(&self, rerank: &Arc<Rerank>, place: usize) -> Result<(), Error> {
        let handle = self.handle();
        let tokenizer = self.tokenizer()?;
        let candidates = words(tokenizer.as_ref())?;
        let limits = handle.limits();
        let built = GenerateOptions::default().build(&limits.options, tokenizer.vocabulary_size(), 0)?;
        let hears = Arc::clone(rerank);
        let (generation, submission) = handle.begin(1, Box::new(move || hears.hear(place)))?;
        // Before anything can come of it.
        rerank.state().running.insert(place, generation);
        let asked = Arc::clone(rerank);
        self.prepare().push(move |taken| {
            let Some(model) = asked.model.upgrade() else { return submission.cancel() };
            let prompt = taken.and_then(|()| model.rerank_prompt(&asked.input, place));
            // What runs may reach the model's end, which must not be on this thread's hands.
            drop(asked);
            match prompt {
                Ok(prompt) => submission.start(rkllmjs_core::Request {
                    prompt,
                    candidates: candidates.to_vec(),
                    max_tokens: Some(1),
                    ..built
                }),
                Err(error) => submission.fail(error),
            }
        });
        Ok(())
    }

    fn rerank_prompt(&self, input: &RerankInput, place: usize) -> Result<Vec<Token>, Error> {
        let document = input.documents.get(place).map_or("", String::as_str);
        let instruction = input.instruction.as_deref().unwrap_or(INSTRUCTION);
        let question =
            format!("<Instruct>: {instruction}\n\n<Query>: {}\n\n<Document>: {document}", input.query);
        let messages =
            json!([{ "role": "system", "content": TASK }, { "role": "user", "content": question }]);
        let messages = Messages::from_json(&messages.to_string())?;
        let mut options = RenderOptions::default();
        // A model that thinks first would say neither word.
        options.template_args.insert("enable_thinking".to_owned(), Value::Bool(false));
        self.template()?.render(&messages, &options)?.tokenize(self.tokenizer()?.as_ref())
    }
}

fn check_rerank(input: &RerankInput) -> Result<(), Error> {
    if input.query.trim().is_empty() {
        return Err(Error::option("query", "must not be empty"));
    }
    if input.documents.is_empty() || input.documents.len() > DOCUMENTS_MAX {
        let message = format!("must hold 1 to {DOCUMENTS_MAX} texts, got {}", input.documents.len());
        return Err(Error::option("documents", message));
    }
    input.top_n.map(|n| TOP_N.check(n)).transpose().map(drop)
}

/// The tokens that "yes" and "no" begin with.
fn words(tokenizer: &dyn Tokenizer) -> Result<[Token; 2], Error> {
    let [yes, no] = WORDS.map(|word| tokenizer.tokenize(word, Special::default()));
    match (yes?.first(), no?.first()) {
        (Some(&yes), Some(&no)) if yes != no => Ok([yes, no]),
        _ => Err(Error::new(
            ErrorCode::Unsupported,
            "this model's vocabulary does not tell \"yes\" from \"no\" by their first tokens; rerank with another",
        )),
    }
}

impl Rerank {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks about as many more documents as there are places, or tells the result.
    fn go_on(self: Arc<Self>) {
        loop {
            let place = match self.state().next(&self.input, self.most) {
                Next::Ask(place) => place,
                Next::Wait => return,
                Next::Tell(done, ranking) => return done(Ok(ranking)),
            };
            let Some(model) = self.model.upgrade() else { return self.give_up(closed()) };
            if let Err(error) = model.ask_about(&self, place) {
                return self.give_up(error);
            }
        }
    }

    /// Looks whether the question about the document at `place` was answered.
    fn hear(self: &Arc<Self>, place: usize) {
        let scored = {
            let mut state = self.state();
            let taken = state.running.get(&place).and_then(|generation| generation.take(&mut Vec::new()));
            let (Some(outcome), Some(generation)) = (taken, state.running.remove(&place)) else { return };
            state.prompt_tokens += outcome.usage.prompt_tokens;
            let scored = outcome.error.map_or_else(|| score(&generation), Err);
            scored.map(|score| state.scores.push((place, score)))
        };
        match scored {
            Ok(()) => Arc::clone(self).go_on(),
            Err(error) => self.give_up(about(place, error)),
        }
    }

    /// Tells what failed, once; what is still running is of no use and is cancelled.
    fn give_up(&self, error: Error) {
        let (done, running) = {
            let mut state = self.state();
            (state.done.take(), std::mem::take(&mut state.running))
        };
        drop(running);
        if let Some(done) = done {
            done(Err(error));
        }
    }
}

/// What a comparison does next.
enum Next {
    Ask(usize),
    Wait,
    Tell(RerankDone, Ranking),
}

impl State {
    fn next(&mut self, input: &RerankInput, most: usize) -> Next {
        if self.done.is_none() || self.running.len() >= most {
            return Next::Wait;
        }
        if self.next < input.documents.len() {
            self.next += 1;
            return Next::Ask(self.next - 1);
        }
        if self.scores.len() < input.documents.len() {
            return Next::Wait;
        }
        let Some(done) = self.done.take() else { return Next::Wait };
        let scores = std::mem::take(&mut self.scores);
        Next::Tell(done, Ranking::best(scores, input.top_n, self.prompt_tokens))
    }
}

/// The probability of "yes", where "no" is all there is besides.
fn score(generation: &Generation) -> Result<f64, Error> {
    let weighed = generation.logprobs(0);
    let Some([yes, no]) = weighed.first().map(|chosen| chosen.top.as_slice()) else {
        // It ended before it was computed, which only the end of the model does.
        return Err(closed());
    };
    let logprob = |one: &TokenLogprob| f64::from(one.logprob);
    Ok(1.0 / (1.0 + (logprob(no) - logprob(yes)).exp()))
}

/// Says which document an error is about.
pub(crate) fn about(place: usize, error: Error) -> Error {
    if error.code != ErrorCode::ContextExceeded {
        return error;
    }
    let message = format!("documents[{place}] is too long with the query: {}", error.message);
    Error { message, ..error }.with("document", Detail::Number(place as u64))
}
