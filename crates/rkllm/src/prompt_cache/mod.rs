//! Saved prompt caches, and the small file beside each that says what it belongs to.
//!
//! The runtime reads any cache and cannot tell whether it was made by this model. So a [`Record`] is written
//! when a cache is saved, and compared before the runtime sees the cache again.

pub mod fingerprint;
mod record;
mod saving;

pub(crate) use fingerprint::{Fingerprint, of_file, of_texts};
pub(crate) use record::{Origin, check};
pub(crate) use saving::Saving;
