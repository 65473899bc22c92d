use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Most names that are kept; there are fewer than a hundred options and facts.
const NAMES_MAX: usize = 512;

/// `name` as one that lives for ever, as options and facts are named by. They are few, and each is kept
/// once.
pub(crate) fn lasting(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    if names.len() >= NAMES_MAX {
        return "option";
    }
    let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(kept);
    kept
}
