//! Images of conversations: read, decoded and turned into rows.

mod cache;
mod pixels;
mod source;
mod vision;

pub use source::{ImageData, ImageSource};
pub(crate) use vision::{Seen, Vision};
