use std::sync::Arc;

use llama_cpp_sys_2 as sys;
use rkllmjs_constraint::{Follower, Strictness};
use rkllmjs_core::{Error, Sampling, Token};

use super::grammar::Grammar;
use super::keep_above;
use super::raw::RawSampler;
use crate::Model;

type Candidates = [sys::llama_token_data];

/// What the text of an answer is held to.
#[derive(Debug)]
pub(super) enum Rule {
    /// llama.cpp's grammars.
    Grammar(Grammar),
    /// Schemas and regular expressions.
    Constraint(Box<Follower>),
}

impl Rule {
    pub(super) fn new(model: &Arc<Model>, sampling: &Sampling) -> Result<Option<Self>, Error> {
        if let Some(text) = &sampling.grammar {
            return Ok(Some(Self::Grammar(Grammar::new(model, text, sampling)?)));
        }
        let Some(constraint) = &sampling.constraint else { return Ok(None) };
        let follower =
            model.constraints().follow(constraint, sampling.free_thoughts.as_ref(), model.as_ref())?;
        Ok(Some(Self::Constraint(Box::new(follower))))
    }

    /// Whether it says anything about the next token.
    pub(super) fn binds(&self) -> bool {
        match self {
            Self::Grammar(grammar) => grammar.binds(),
            Self::Constraint(_) => true,
        }
    }

    /// Those of some candidates that may come next.
    pub(super) fn among<'a>(
        &mut self,
        candidates: &'a mut Candidates,
        model: &Model,
    ) -> Result<&'a mut Candidates, Error> {
        match self {
            Self::Grammar(grammar) => {
                grammar.binding().map_or(Ok(&mut []), |sampler| allowed(sampler, candidates))
            }
            Self::Constraint(follower) => {
                follower.look()?;
                Ok(permitted(follower, candidates, Strictness::Short, model))
            }
        }
    }

    /// Those of all tokens that may come next; there is one unless it comes to where none continues it.
    pub(super) fn among_all<'a>(
        &mut self,
        candidates: &'a mut Candidates,
        model: &Model,
    ) -> Result<&'a mut Candidates, Error> {
        let Self::Constraint(follower) = self else { return self.among(candidates, model) };
        follower.look()?;
        let short = permitted(follower, candidates, Strictness::Short, model).len();
        if short > 0 {
            return Ok(candidates.get_mut(..short).unwrap_or_default());
        }
        Ok(permitted(follower, candidates, Strictness::Bare, model))
    }

    /// Goes on past `token`.
    pub(super) fn accept(&mut self, token: Token, model: &Model) -> Result<(), Error> {
        match self {
            Self::Grammar(grammar) => grammar.accept(token),
            Self::Constraint(follower) => follower.accept(token, model),
        }
    }

    /// What is wrong where no token of the vocabulary continues it.
    #[cold]
    pub(super) fn dead_end(&self) -> Error {
        let option = match self {
            Self::Grammar(_) => "grammar",
            Self::Constraint(follower) => follower.option(),
        };
        Error::option(option, "comes to where no token of the vocabulary continues it")
    }
}

/// Those of `candidates` that a grammar allows next.
fn allowed<'a>(
    grammar: &mut RawSampler,
    candidates: &'a mut Candidates,
) -> Result<&'a mut Candidates, Error> {
    if candidates.is_empty() {
        return Ok(candidates);
    }
    Ok(keep_above(grammar.apply(candidates)?, f32::NEG_INFINITY))
}

/// Those of `candidates` that a constraint permits next, in their order.
fn permitted<'a>(
    follower: &Follower,
    candidates: &'a mut Candidates,
    strictness: Strictness,
    model: &Model,
) -> &'a mut Candidates {
    let mut kept = 0;
    for i in 0..candidates.len() {
        if candidates.get(i).is_some_and(|c| follower.permits(c.id.cast_unsigned(), strictness, model)) {
            candidates.swap(kept, i);
            kept += 1;
        }
    }
    candidates.get_mut(..kept).unwrap_or_default()
}
