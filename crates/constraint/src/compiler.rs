use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use llguidance::Matcher;
use llguidance::api::TopLevelGrammar;
use rkllmjs_core::{Constraint, Error, ErrorCode, Thoughts, Tokenizer};

use crate::follower::{Follower, first_line};
use crate::vocabulary::Vocabulary;
use crate::{pattern, schema};

/// Most compiled constraints that are kept. Requests that wait have theirs compiled already.
const KEPT_MAX: usize = 16;

/// Compiles the constraints of one model.
///
/// What was compiled lately is kept: requests come with the same schema again, and whoever prepares a
/// request compiles it before the engine's thread asks for it.
#[derive(Default)]
pub struct Compiler {
    vocabulary: OnceLock<Result<Arc<Vocabulary>, Error>>,
    kept: Mutex<VecDeque<Kept>>,
}

struct Kept {
    constraint: Constraint,
    /// Before its first token.
    matcher: Matcher,
}

impl std::fmt::Debug for Compiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiler").field("kept", &self.kept().len()).finish_non_exhaustive()
    }
}

impl Compiler {
    /// Compiles `constraint`, unless that was done lately. Takes some milliseconds, the first time for a model
    /// some tens of them: not for the thread of an engine that others wait for.
    ///
    /// # Errors
    ///
    /// `invalid-request` and `unsupported`, naming the option and what in it is wrong.
    pub fn compile(&self, constraint: &Constraint, tokenizer: &dyn Tokenizer) -> Result<(), Error> {
        self.matcher(constraint, tokenizer).map(drop)
    }

    /// Follows an answer under `constraint`, from behind the thoughts that may come first.
    ///
    /// # Errors
    ///
    /// As [`compile`](Self::compile).
    pub fn follow(
        &self,
        constraint: &Constraint,
        thoughts: Option<&Thoughts>,
        tokenizer: &dyn Tokenizer,
    ) -> Result<Follower, Error> {
        let matcher = self.matcher(constraint, tokenizer)?;
        Ok(Follower::new(matcher, self.vocabulary(tokenizer)?, constraint.option(), thoughts))
    }

    fn matcher(&self, constraint: &Constraint, tokenizer: &dyn Tokenizer) -> Result<Matcher, Error> {
        if let Some(matcher) = self.known(constraint) {
            return Ok(matcher);
        }
        let grammar = grammar(constraint)?;
        let vocabulary = self.vocabulary(tokenizer)?;
        let mut matcher = Matcher::new(vocabulary.factory.create_parser(grammar));
        if let Some(why) = matcher.get_error() {
            return Err(refused(constraint, &why));
        }
        // A text that nothing can begin is found out here rather than in the answer.
        matcher.compute_mask_or_eos().map_err(|why| refused(constraint, &why.to_string()))?;
        let mut kept = self.kept();
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(Kept { constraint: constraint.clone(), matcher: matcher.deep_clone() });
        Ok(matcher)
    }

    fn known(&self, constraint: &Constraint) -> Option<Matcher> {
        let mut kept = self.kept();
        let place = kept.iter().position(|kept| kept.constraint == *constraint)?;
        let found = kept.remove(place)?;
        let matcher = found.matcher.deep_clone();
        kept.push_back(found);
        Some(matcher)
    }

    fn vocabulary(&self, tokenizer: &dyn Tokenizer) -> Result<Arc<Vocabulary>, Error> {
        self.vocabulary.get_or_init(|| Vocabulary::new(tokenizer)).clone()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn grammar(constraint: &Constraint) -> Result<TopLevelGrammar, Error> {
    match constraint {
        Constraint::JsonSchema(text) | Constraint::ResponseFormat(text) => {
            let schema = schema::read(text).map_err(|fault| fault.of(constraint.option()))?;
            Ok(TopLevelGrammar::from_json_schema(schema))
        }
        Constraint::Regex(text) => {
            if text.is_empty() {
                return Err(Error::option("regex", "must not be empty"));
            }
            let pattern = pattern::to_rust(text)
                .map_err(|why| Error::option("regex", format!("is no expression that can be used: {why}")))?;
            Ok(TopLevelGrammar::from_regex(&pattern))
        }
    }
}

/// What the engine itself has against a constraint, in its own words but for those that name its options.
fn refused(constraint: &Constraint, why: &str) -> Error {
    let option = constraint.option();
    if why.contains("oneOf constraints are not supported") {
        let message =
            "has a oneOf whose choices may hold at the same time, which cannot be enforced; use anyOf";
        return Error::unsupported(option, message);
    }
    let code =
        if why.contains("only supported when") { ErrorCode::Unsupported } else { ErrorCode::InvalidRequest };
    Error { code, ..Error::option(option, format!("cannot be followed: {}", first_line(why))) }
}
