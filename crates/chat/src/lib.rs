//! Messages to prompts.
//!
//! A model's chat template is somebody else's program and a message is somebody else's text. The
//! template runs under limits ([`ChatTemplate`]), and no spelling of a control token in a message
//! becomes that token (`guard`).

#![forbid(unsafe_code)]

mod guard;
mod messages;
mod template;

pub use messages::{Messages, RenderOptions};
pub use template::{ChatTemplate, Prompt};
