//! Messages to prompts, output to parts.
//!
//! A model's chat template is somebody else's program and a message is somebody else's text. The
//! template runs under limits ([`ChatTemplate`]), and no spelling of a control token in a message
//! becomes that token (`guard`). What the model answers is read the way the template's model writes
//! thoughts and calls of tools ([`AnswerReader`]).

#![forbid(unsafe_code)]

mod answer;
mod asked;
mod begun;
mod format;
mod guard;
mod messages;
mod render_options;
mod renderer;
mod template;
mod text_template;
mod thought_marks;
mod tools;
mod triggers;

pub use answer::{AnswerMessage, AnswerReader, Delta, Ending, ToolCall};
pub use format::{AnswerFormat, Thinking, ToolGrammar};
pub use messages::Messages;
pub use render_options::{Reasoning, RenderOptions};
pub use template::{ChatTemplate, Piece, Prompt};
pub use text_template::TextTemplate;
pub use thought_marks::ThoughtMarks;
pub use tools::ToolChoice;
