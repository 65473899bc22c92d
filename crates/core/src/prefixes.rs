use std::ops::Range;

use crate::host_prefixes::{HostPrefixes, Stored};
use crate::kept_prefixes::{Kept, KeptPrefixes, common_length};
use crate::sequence::{Following, Sequence};
use crate::{Engine, ErrorCode, Limits, SequenceId};

/// The shortest common beginning worth sharing.
pub(crate) const WORTH_SHARING: usize = 8;
/// The least that is worth waiting for while another computes it.
const WORTH_WAITING: usize = 32;
/// The least that is worth copying back from this process's memory: a token takes as many bytes as a large
/// model computes in a fraction of the time for one.
const WORTH_RECALLING: usize = 32;
/// Kept prefixes are numbered from here on, which no sequence gets to.
const FIRST_KEPT: u64 = 1 << 63;

/// Sees to it that what prompts begin with alike is computed once: a sequence takes what others have in the
/// cache, and *follows* one that is about to compute what it needs.
#[derive(Debug)]
pub(crate) struct Prefixes {
    shares: bool,
    pub(crate) keeps: bool,
    pub(crate) kept: KeptPrefixes,
    pub(crate) host: HostPrefixes,
    next_kept: u64,
}

/// What a sequence can have of another, running or kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Find {
    tokens: usize,
    from: SequenceId,
}

impl Prefixes {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            shares: limits.shares,
            keeps: limits.shares && limits.kept > 0,
            kept: KeptPrefixes::new(limits.kept as usize, limits.kept_tokens as usize),
            host: HostPrefixes::default(),
            next_kept: FIRST_KEPT,
        }
    }

    pub(crate) fn kept(&self) -> usize {
        self.kept.len()
    }

    pub(crate) fn kept_tokens(&self) -> usize {
        self.kept.tokens()
    }

    /// Puts prefixes that have to leave the cache into this process's memory, at most `bytes` of them.
    pub(crate) fn use_host_memory(&mut self, bytes: u64) {
        self.host = HostPrefixes::new(if self.keeps { bytes } else { 0 });
    }

    pub(crate) fn host(&self) -> &HostPrefixes {
        &self.host
    }

    /// A number for a holder of cache that no sequence has.
    pub(crate) fn new_holder(&mut self) -> SequenceId {
        self.next_kept += 1;
        SequenceId(self.next_kept - 1)
    }

    /// Gives a sequence what others have of its beginning, and lets it follow one that will have more.
    pub(crate) fn join(&mut self, sequence: &mut Sequence, running: &[Sequence], engine: &mut dyn Engine) {
        sequence.follows = None;
        if !self.shares || sequence.scope.is_none() {
            return;
        }
        self.recall(sequence, running, engine);
        while let Some(found) = self.best(sequence, running) {
            let is_kept = found.from.0 >= FIRST_KEPT;
            if share(engine, found.from, sequence, found.tokens) {
                self.kept.touch(found.from);
                break;
            }
            if !is_kept {
                return;
            }
            // Its cells went with an adapter, or with an engine that was started again.
            self.kept.remove(found.from);
            engine.release(found.from);
        }
        sequence.follows = leader(sequence, running);
    }

    /// Brings back what this process's memory holds of a sequence's beginning, if that is enough more than what
    /// the cache holds or will. Kept prefixes make room for it, what runs does not.
    fn recall(&mut self, sequence: &mut Sequence, running: &[Sequence], engine: &mut dyn Engine) {
        let Some(scope) = sequence.scope.clone().filter(|_| sequence.computed == 0) else { return };
        let there = self.best(sequence, running).map_or(0, |found| found.tokens);
        let coming = leader(sequence, running).map_or(0, |following| following.until);
        let least = there.max(coming) + WORTH_RECALLING;
        let Some((stored, length)) = self.host.take_longest(&scope, sequence.tokens_but_last(), least) else {
            return;
        };
        let length = sequence.whole(length);
        if length < least {
            return self.host.insert(stored);
        }
        let tokens = positions(0, length).end;
        loop {
            match engine.restore(sequence.id, tokens, &scope.adapters, &stored.cells) {
                Ok(true) => {
                    sequence.adopt(length);
                    if length < stored.tokens.len() {
                        self.host.insert(stored);
                    }
                    return;
                }
                Ok(false) if self.evict(1, engine) => {}
                Err(error) if error.code == ErrorCode::ModelInvalid => return,
                Ok(false) | Err(_) => return self.host.insert(stored),
            }
        }
    }

    /// The most that there is for a sequence beyond what it has, if it is worth it.
    fn best(&self, sequence: &Sequence, running: &[Sequence]) -> Option<Find> {
        // The last token is computed by everyone: what follows it is sampled from that.
        let wanted = sequence.tokens_but_last();
        let scope = sequence.scope.as_ref()?;
        let kept = self.kept.longest(scope, wanted);
        let kept = kept.map(|(from, tokens)| Find { tokens: sequence.whole(tokens), from });
        let others = running.iter().filter(|other| other.id != sequence.id && other.scope == sequence.scope);
        let others = others.map(|other| {
            let tokens = sequence.whole(common_length(other.computed_tokens(), wanted));
            Find { tokens, from: other.id }
        });
        let least = WORTH_SHARING.max(sequence.computed + 1);
        others.chain(kept).max().filter(|found| found.tokens >= least)
    }

    /// Gives followers what their leaders have computed since the last step. Who has lost its leader looks
    /// for another.
    pub(crate) fn follow(&mut self, running: &mut [Sequence], engine: &mut dyn Engine) {
        for place in 0..running.len() {
            let (before, rest) = running.split_at_mut(place);
            let Some((sequence, after)) = rest.split_first_mut() else { return };
            let Some(Following { leader, until }) = sequence.follows else { continue };
            let mut others = before.iter().chain(after.iter());
            let leader = others.find(|other| other.id == leader && other.paused_since.is_none());
            let lost = match leader {
                None => true,
                Some(leader) => {
                    let there = sequence.whole(leader.computed.min(until));
                    there > sequence.computed && !share(engine, leader.id, sequence, there)
                }
            };
            if lost || sequence.computed >= until {
                sequence.follows = None;
            }
            if lost {
                self.look_again(place, running, engine);
            }
        }
    }

    fn look_again(&mut self, place: usize, running: &mut [Sequence], engine: &mut dyn Engine) {
        // The sequence at the end has all others before it.
        let Some(last) = running.len().checked_sub(1) else { return };
        running.swap(place, last);
        if let Some((sequence, others)) = running.split_last_mut() {
            self.join(sequence, others, engine);
        }
        running.swap(place, last);
    }

    /// Keeps what a sequence has in the cache when it is about to give it up.
    pub(crate) fn keep(&mut self, sequence: &Sequence, engine: &mut dyn Engine) {
        let tokens = sequence.computed_tokens();
        let tokens = tokens.get(..sequence.whole(tokens.len())).unwrap_or_default();
        let Some(scope) = sequence.scope.as_ref().filter(|_| self.keeps) else { return };
        if tokens.len() < WORTH_SHARING || self.kept.covers(scope, tokens) {
            return;
        }
        for gone in self.kept.remove_beginnings(scope, tokens) {
            engine.release(gone.id);
        }
        while let Some(gone) = self.kept.make_place() {
            self.let_go(gone, engine);
        }
        let id = self.new_holder();
        if engine.share(sequence.id, id, positions(0, tokens.len())) {
            self.kept.insert(id, scope.clone(), tokens.to_vec());
            self.trim(engine);
        }
    }

    /// Lets go of what goes beyond the most tokens.
    pub(crate) fn trim(&mut self, engine: &mut dyn Engine) {
        while let Some(gone) = self.kept.trim() {
            self.let_go(gone, engine);
        }
    }

    /// Frees the cells of an entry, which may live on in this process's memory.
    pub(crate) fn let_go(&mut self, gone: Kept, engine: &mut dyn Engine) {
        let Kept { id, scope, tokens, .. } = gone;
        if self.host.wants(&scope, &tokens)
            && let Ok(Some(cells)) = engine.save(id, positions(0, tokens.len()).end)
        {
            self.host.insert(Stored { scope, tokens, cells });
        }
        engine.release(id);
    }

    /// Frees room for `tokens`, as far as that is known, from what was used least recently. False if nothing
    /// is kept.
    pub(crate) fn evict(&mut self, tokens: usize, engine: &mut dyn Engine) -> bool {
        let before = self.kept.tokens();
        let mut evicted = false;
        while before - self.kept.tokens() < tokens || !evicted {
            let Some(oldest) = self.kept.remove_oldest() else { break };
            self.let_go(oldest, engine);
            evicted = true;
        }
        evicted
    }

    /// Frees everything, and keeps nothing any more.
    pub(crate) fn close(&mut self, engine: &mut dyn Engine) {
        self.keeps = false;
        self.host = HostPrefixes::default();
        while let Some(oldest) = self.kept.remove_oldest() {
            engine.release(oldest.id);
        }
    }
}

/// The one that will have computed most of what a sequence needs. Only who comes before it in the line is
/// followed, so that nobody waits in a circle, or for somebody who must let it pass.
fn leader(sequence: &Sequence, running: &[Sequence]) -> Option<Following> {
    let wanted = sequence.tokens_but_last();
    let leaders = running.iter().filter(|other| {
        other.scope == sequence.scope
            && other.paused_since.is_none()
            && other.place_in_line() < sequence.place_in_line()
    });
    let best = leaders
        .map(|other| {
            let until = sequence.whole(common_length(&other.request.prompt, wanted));
            (until, other.computed, other.id)
        })
        .max()
        .filter(|(until, ..)| *until >= sequence.computed + WORTH_WAITING);
    best.map(|(until, _, leader)| Following { leader, until })
}

fn share(engine: &mut dyn Engine, from: SequenceId, to: &mut Sequence, until: usize) -> bool {
    let shared = engine.share(from, to.id, positions(to.computed, until));
    if shared {
        if from.0 < FIRST_KEPT {
            to.shared += until - to.computed;
        }
        to.adopt(until);
    }
    shared
}

pub(crate) fn positions(from: usize, to: usize) -> Range<u32> {
    let position = |place| u32::try_from(place).unwrap_or(u32::MAX);
    position(from)..position(to)
}
