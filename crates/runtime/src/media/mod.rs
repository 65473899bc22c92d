//! Images and sound of conversations: read, decoded and turned into rows.

mod cache;
mod pixels;
mod senses;
mod sound;
mod source;

pub(crate) use senses::{Seen, Senses};
pub use source::{MediumData, MediumKind, MediumSource};
