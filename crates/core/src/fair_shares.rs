use std::collections::{HashMap, HashSet};

/// What each tenant has had of the model, in tokens, so that those with less go first.
///
/// Only tenants with requests in flight have an account: whoever was idle has saved nothing, and owes nothing.
#[derive(Debug, Default)]
pub(crate) struct FairShares {
    tokens: HashMap<Option<String>, u64>,
}

impl FairShares {
    /// Opens an account for a tenant that has none, as good as the best of those in flight. The others' are closed.
    pub(crate) fn enter<'a>(
        &mut self,
        tenant: Option<&str>,
        in_flight: impl Iterator<Item = Option<&'a str>>,
    ) {
        let in_flight: HashSet<Option<&str>> = in_flight.collect();
        self.tokens.retain(|tenant, _| in_flight.contains(&tenant.as_deref()));
        let least = self.tokens.values().min().copied().unwrap_or(0);
        self.tokens.entry(tenant.map(str::to_owned)).or_insert(least);
    }

    /// Notes that a tenant is given the computation of so many tokens.
    pub(crate) fn charge(&mut self, tenant: &Option<String>, tokens: usize) {
        if let Some(sum) = self.tokens.get_mut(tenant) {
            *sum += tokens as u64;
        }
    }

    /// What a tenant has had since it opened its account.
    pub(crate) fn of(&self, tenant: &Option<String>) -> u64 {
        self.tokens.get(tenant).copied().unwrap_or(0)
    }
}
