//! Ranking with a head of the model's own, which makes a score of a query and a document read together.

use std::sync::Arc;

use rkllmjs_chat::TextTemplate;
use rkllmjs_core::{Error, ErrorCode, PairTokens, Special, Token, Tokenizer};
use rkllmjs_gguf::{Facts, Pooling, RankHead};

use crate::groups::compute_groups;
use crate::model::{Model, closed};
use crate::rerank::{INSTRUCTION, Ranking, RerankDone, RerankInput, about};

/// How a model ranks documents.
#[derive(Debug)]
pub(crate) enum Ranks {
    /// By what it answers when it is asked about each.
    ByAnswer,
    /// By what its head says of each.
    ByHead(Arc<Head>),
    /// It cannot.
    Not(Error),
}

/// What is known of a head.
#[derive(Debug)]
pub(crate) struct Head {
    is_probability: bool,
    /// The text that a query and a document are put into, where it is not enough to put tokens between them.
    template: Option<String>,
    tokens_most: u32,
}

impl Ranks {
    /// By the head, if the file has one. A model without one must be able to say something.
    pub(crate) fn new(facts: &Facts<'_>, only_reads: bool, tokens_most: u32) -> Self {
        let is_probability = match &facts.rank_head {
            Some(RankHead::Logit) => false,
            Some(RankHead::Probability) => true,
            Some(RankHead::Unclear(why)) => {
                return Self::not(&format!(
                    "this model cannot rank: {why}; use one whose head gives one score"
                ));
            }
            None if only_reads => return Self::not(ONLY_READS),
            None => return Self::ByAnswer,
        };
        let template = facts.rerank_template.map(str::to_owned);
        let has = |place: &str| template.as_deref().is_none_or(|template| template.contains(place));
        if !has("{query}") || !has("{document}") {
            return Self::not("the file's template for reranking has no place for {query} or for {document}");
        }
        Self::ByHead(Arc::new(Head { is_probability, template, tokens_most }))
    }

    fn not(message: &str) -> Self {
        Self::Not(Error::new(ErrorCode::Unsupported, message))
    }

    /// The name that `info` has for it. Without a template for conversations nobody can be asked.
    pub(crate) fn name(&self, chat_template: Option<&str>) -> Option<&'static str> {
        match self {
            Self::ByHead(_) => Some("head"),
            Self::ByAnswer => chat_template.map(|_| "answer"),
            Self::Not(_) => None,
        }
    }
}

const ONLY_READS: &str = "this model only reads, and documents are ranked by the yes or no a model says; rerank with \
                          one that chats, loaded without embedding: true, or with one that has a head for it, or \
                          compare the vectors of embed()";

/// Why the model makes no vectors, where its file says that it makes scores and the caller nothing else.
pub(crate) fn embed_refusal(facts: &Facts<'_>, pooling: Option<&str>) -> Option<Error> {
    let ranks = facts.pooling == Some(Pooling::Rank) && pooling.is_none();
    ranks.then(|| {
        let message = "this model ranks (pooling type rank) and makes scores, not vectors: use rerank(), or load it \
                       with pooling: 'cls', 'mean' or 'last' for the vectors before its head";
        Error::new(ErrorCode::Unsupported, message)
    })
}

impl Model {
    /// Ranks documents by what the head says of them; what is asked was checked.
    pub(crate) fn rank_by_head(&self, head: Arc<Head>, input: RerankInput, done: RerankDone) {
        if input.instruction.is_some() && !head.takes_instruction() {
            let message =
                "cannot be given to this model, which ranks with a head that knows one task; leave it out";
            return done(Err(Error::unsupported("instruction", message)));
        }
        let weak = self.downgrade();
        self.prepare().push(move |taken| {
            let model = taken.and_then(|()| weak.upgrade().ok_or_else(closed));
            let asked = model.and_then(|model| {
                let prompts = head.prompts(&input, model.tokenizer()?.as_ref())?;
                Ok((model, prompts))
            });
            match asked {
                Ok((model, prompts)) => model.rank_prompts(prompts, &head, input.top_n, done),
                Err(error) => done(Err(error)),
            }
        });
    }

    fn rank_prompts(&self, prompts: Vec<Vec<Token>>, head: &Arc<Head>, top_n: Option<f64>, done: RerankDone) {
        let prompt_tokens = prompts.iter().map(|prompt| prompt.len() as u64).sum();
        let head = Arc::clone(head);
        let tell = move |outputs: Result<Vec<f32>, Error>| {
            let scores = outputs.and_then(|outputs| outputs.into_iter().map(|one| head.score(one)).collect());
            done(scores.map(|scores: Vec<f64>| {
                Ranking::best(scores.into_iter().enumerate().collect(), top_n, prompt_tokens)
            }));
        };
        compute_groups(
            self.handle(),
            prompts,
            Vec::new(),
            |engine, group| engine.rank(group),
            Box::new(tell),
        );
    }
}

impl Head {
    fn takes_instruction(&self) -> bool {
        self.template.as_deref().is_some_and(|template| template.contains("{instruction}"))
    }

    /// What the model reads for each document.
    fn prompts(&self, input: &RerankInput, tokenizer: &dyn Tokenizer) -> Result<Vec<Vec<Token>>, Error> {
        let form = match &self.template {
            Some(template) => Form::Text(TextTemplate::new(template, tokenizer)?),
            None => Form::Tokens(tokenizer.pair_tokens().ok_or_else(nothing_between)?),
        };
        let mut prompts = Vec::with_capacity(input.documents.len());
        for (place, document) in input.documents.iter().enumerate() {
            let prompt = form.prompt(input, document, tokenizer)?;
            if prompt.len() > self.tokens_most as usize {
                return Err(about(place, Error::context_exceeded(prompt.len(), self.tokens_most)));
            }
            prompts.push(prompt);
        }
        Ok(prompts)
    }

    /// From 0 to 1.
    fn score(&self, output: f32) -> Result<f64, Error> {
        let output = f64::from(output);
        if !output.is_finite() {
            let message = "the model computed no numbers: its weights may be damaged";
            return Err(Error::new(ErrorCode::EngineFailed, message));
        }
        Ok(if self.is_probability { output.clamp(0.0, 1.0) } else { 1.0 / (1.0 + (-output).exp()) })
    }
}

/// How a query and a document become one prompt.
enum Form<'a> {
    Text(TextTemplate<'a>),
    Tokens(PairTokens),
}

impl Form<'_> {
    fn prompt(
        &self,
        input: &RerankInput,
        document: &str,
        tokenizer: &dyn Tokenizer,
    ) -> Result<Vec<Token>, Error> {
        match self {
            Self::Text(template) => {
                let instruction = input.instruction.as_deref().unwrap_or(INSTRUCTION);
                let texts =
                    [("query", input.query.as_str()), ("document", document), ("instruction", instruction)];
                template.tokenize(&texts, tokenizer)
            }
            Self::Tokens(PairTokens { start, between, end }) => {
                let query = tokenizer.tokenize(&input.query, Special::default())?;
                let document = tokenizer.tokenize(document, Special::default())?;
                Ok([start.as_slice(), &query, between, &document, end].concat())
            }
        }
    }
}

fn nothing_between() -> Error {
    let message = "this model's file has neither a template for reranking nor a token that parts a query from a \
                   document; use one converted for reranking";
    Error::new(ErrorCode::Unsupported, message)
}

#[cfg(test)]
mod tests {
    use super::Head;

    fn head(is_probability: bool) -> Head {
        Head { is_probability, template: None, tokens_most: 1 }
    }

    #[test]
    fn a_logit_goes_through_the_sigmoid_and_a_probability_stays() {
        assert_eq!(head(false).score(0.0), Ok(0.5));
        assert!((head(false).score(2.0).unwrap_or(0.0) - 0.880_797).abs() < 1e-6);
        assert_eq!(head(false).score(-1e9), Ok(0.0));
        assert_eq!(head(true).score(0.25), Ok(0.25));
    }

    #[test]
    fn no_number_is_no_score() {
        for output in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(head(false).score(output).is_err() && head(true).score(output).is_err());
        }
    }
}
