//! The tokenizer and the chat template of a model whose own file cannot be asked for them, from the
//! files of its Hugging Face repository that lie beside it.
//!
//! [`open_beside`] is the way in. What it returns, [`Companions`], holds an [`HfTokenizer`] (ids equal
//! those of Hugging Face's own library), the model's [`ChatTemplates`] and a few [`ModelFacts`].

mod added;
mod byte_alphabet;
mod chat_templates;
mod companion_file;
mod companions;
mod encoder;
mod end_tokens;
mod frame;
mod library;
mod model_facts;
mod outline;
mod patterns;
mod spelling;
mod tokenizer;
mod tokenizer_config;
mod vocabulary;

pub use chat_templates::ChatTemplates;
pub use companions::{Companions, open_beside, open_folder};
pub use model_facts::ModelFacts;
pub use tokenizer::HfTokenizer;
