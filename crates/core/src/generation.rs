use std::sync::Arc;

use crate::delivery::Delivery;
use crate::model_handle::Owner;
use crate::{FinishReason, Outcome, Part, Token, TokenLogprob};

/// A request in flight, seen by whoever asked.
///
/// Dropping it cancels the request.
#[derive(Debug)]
pub struct Generation {
    pub(crate) id: u64,
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) owner: Arc<Owner>,
}

impl Generation {
    /// Names it among the generations of its model.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Frees its place within one step; it ends `cancelled`. Does nothing once it has ended.
    pub fn cancel(&self) {
        self.delivery.cancel();
        self.owner.control.interrupt(self.id);
    }

    /// Every part is queued from now on, the text so far first, without a bound but the context.
    /// Changes nothing once [`stream`](Self::stream) was called.
    pub fn listen(&self) {
        self.delivery.listen();
    }

    /// Begins to read parts, the text so far first. From now on at most
    /// [`UNDELIVERED_PARTS_MAX`](crate::UNDELIVERED_PARTS_MAX) parts wait unread.
    pub fn stream(&self) {
        self.delivery.stream();
    }

    /// Moves the parts that are ready into `parts`. The outcome, once nothing comes before it.
    pub fn take(&self, parts: &mut Vec<Part>) -> Option<Outcome> {
        self.delivery.take(parts)
    }

    /// Says that parts of `tokens` among those taken were read.
    pub fn acknowledge(&self, tokens: usize) {
        if self.delivery.acknowledge(tokens) {
            self.owner.control.inbox.poke();
        }
    }

    /// Blocks until it ends.
    pub fn wait(&self) -> Outcome {
        self.delivery.wait()
    }

    /// How many answers were asked for.
    pub fn choices(&self) -> usize {
        self.delivery.with_choices(<[_]>::len)
    }

    /// The text of one choice so far.
    pub fn text(&self, index: usize) -> String {
        self.delivery.with_choices(|all| all.get(index).map(|c| c.text.clone()).unwrap_or_default())
    }

    /// The tokens of one choice so far.
    pub fn tokens(&self, index: usize) -> Vec<Token> {
        self.delivery.with_choices(|all| all.get(index).map(|c| c.tokens.clone()).unwrap_or_default())
    }

    /// The log probabilities of one choice so far, if they were asked for.
    pub fn logprobs(&self, index: usize) -> Vec<TokenLogprob> {
        self.delivery.with_choices(|all| all.get(index).map(|c| c.logprobs.clone()).unwrap_or_default())
    }

    /// Why one choice ended, once it has.
    pub fn finish_reason(&self, index: usize) -> Option<FinishReason> {
        self.delivery.with_choices(|all| all.get(index).and_then(|c| c.finish))
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.cancel();
    }
}
