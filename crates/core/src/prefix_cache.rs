use crate::kept_prefixes::Scope;
use crate::prefixes::{Prefixes, WORTH_SHARING, positions};
use crate::{Adapters, Detail, Engine, Error, ErrorCode, Token, stands_for_a_row};

/// What ended requests left in the cache, between two steps; see
/// [`ModelHandle::with_cache`](crate::ModelHandle::with_cache).
pub struct PrefixCache<'a> {
    pub(crate) engine: &'a mut dyn Engine,
    pub(crate) prefixes: &'a mut Prefixes,
}

impl std::fmt::Debug for PrefixCache<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrefixCache").field("prefixes", &self.prefixes).finish_non_exhaustive()
    }
}

/// The beginning of a request, outside of the cache.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedPrefix {
    /// Whose it is.
    pub tenant: Option<String>,
    /// What it was computed under.
    pub adapters: Adapters,
    /// Its tokens.
    pub tokens: Vec<Token>,
    /// What the engine had in its cache for them and perhaps for more, as it wrote that.
    pub cells: Vec<u8>,
}

impl PrefixCache<'_> {
    /// Copies what is kept of a tenant: the longest beginning of `prompt`, or without one the request that ended
    /// last.
    ///
    /// # Errors
    ///
    /// `not-found` if there is none; `unsupported` where nothing is kept; `insufficient-memory`.
    pub fn save(&mut self, tenant: Option<&str>, prompt: Option<&[Token]>) -> Result<SavedPrefix, Error> {
        self.check_keeps()?;
        loop {
            let found = self.prefixes.kept.of_tenant(tenant, prompt);
            let length = found.map_or(0, |(_, length)| length);
            if let Some((stored, more)) = self.prefixes.host.of_tenant(tenant, prompt)
                && more > length.max(WORTH_SHARING - 1)
                && (prompt.is_some() || found.is_none())
            {
                let Scope { tenant, adapters } = stored.scope.clone();
                let tokens = stored.tokens.get(..more).unwrap_or_default().to_vec();
                refuse_rows(&tokens)?;
                return Ok(SavedPrefix { tenant, adapters, tokens, cells: stored.cells.clone() });
            }
            let Some((kept, length)) = found.filter(|(_, length)| *length >= WORTH_SHARING) else {
                return Err(nothing(prompt.is_some()));
            };
            refuse_rows(kept.tokens.get(..length).unwrap_or_default())?;
            let id = kept.id;
            if let Some(cells) = self.engine.save(id, positions(0, length).end)? {
                let tokens = kept.tokens.get(..length).unwrap_or_default().to_vec();
                let (tenant, adapters) = (kept.scope.tenant.clone(), kept.scope.adapters.clone());
                return Ok(SavedPrefix { tenant, adapters, tokens, cells });
            }
            // Its cells went with an adapter, or with an engine that was started again.
            self.prefixes.kept.remove(id);
            self.engine.release(id);
        }
    }

    /// Makes `saved` a prefix that is kept, as if its request had just ended. What was used least recently makes
    /// room for it, what runs does not.
    ///
    /// # Errors
    ///
    /// `model-invalid` if the engine cannot read it; `overloaded` if what runs leaves no room; `unsupported`
    /// where nothing is kept.
    pub fn load(&mut self, saved: SavedPrefix) -> Result<(), Error> {
        self.check_keeps()?;
        let SavedPrefix { tenant, adapters, tokens, cells } = saved;
        let scope = Scope { tenant, adapters };
        let covered = self.prefixes.kept.covers(&scope, &tokens);
        while let Some(gone) = self.prefixes.kept.make_place() {
            self.prefixes.let_go(gone, self.engine);
        }
        if covered && self.is_there(&scope, &tokens) {
            return Ok(());
        }
        let id = self.prefixes.new_holder();
        let count = positions(0, tokens.len()).end;
        while !self.engine.restore(id, count, &scope.adapters, &cells)? {
            if !self.prefixes.evict(1, self.engine) {
                return Err(no_room(tokens.len()));
            }
        }
        for gone in self.prefixes.kept.remove_beginnings(&scope, &tokens) {
            self.engine.release(gone.id);
        }
        self.prefixes.kept.insert(id, scope, tokens);
        self.prefixes.trim(self.engine);
        Ok(())
    }

    /// Unloads an adapter as [`Engine::unload_adapter`] does, and forgets what was computed under it.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn unload_adapter(&mut self, name: &str) -> Result<bool, Error> {
        let was_there = self.engine.unload_adapter(name)?;
        if was_there {
            self.prefixes.host.remove_adapter(name);
            for gone in self.prefixes.kept.remove_adapter(name) {
                self.engine.release(gone.id);
            }
        }
        Ok(was_there)
    }

    /// Whether the cells of an entry that begins with all of `tokens` are still there: they may have gone with an
    /// engine that was started again. Needs a place.
    fn is_there(&mut self, scope: &Scope, tokens: &[Token]) -> bool {
        let found = self.prefixes.kept.longest(scope, tokens).filter(|(_, length)| *length == tokens.len());
        let Some((id, _)) = found else { return false };
        let probe = self.prefixes.new_holder();
        let is_there = self.engine.share(id, probe, positions(0, tokens.len()));
        self.engine.release(probe);
        if !is_there {
            self.prefixes.kept.remove(id);
            self.engine.release(id);
        }
        is_there
    }

    fn check_keeps(&self) -> Result<(), Error> {
        if self.prefixes.keeps {
            return Ok(());
        }
        Err(Error::new(ErrorCode::Unsupported, "nothing is kept in the cache of this model"))
    }
}

/// What rows were made of is known to the model that made them, and only while it is open.
fn refuse_rows(tokens: &[Token]) -> Result<(), Error> {
    if !tokens.iter().any(|&token| stands_for_a_row(token)) {
        return Ok(());
    }
    let message = "the conversation holds images or audio, and what the cache holds of those cannot be saved";
    Err(Error::new(ErrorCode::Unsupported, message))
}

fn nothing(of_prompt: bool) -> Error {
    let message = if of_prompt {
        "the cache holds no beginning of this prompt; answer it first, under the same tenant and without \
         cache_prompt: false, and save before other requests need the room"
    } else {
        "the cache holds no conversation of this tenant; let one end first, without cache_prompt: false, and save \
         before other requests need the room"
    };
    Error::new(ErrorCode::NotFound, message)
}

fn no_room(tokens: usize) -> Error {
    let message = format!(
        "the cache has no room for {tokens} tokens beside the requests that run now; try again when one has ended"
    );
    Error::new(ErrorCode::Overloaded, message).with("tokens", Detail::Number(tokens as u64))
}
