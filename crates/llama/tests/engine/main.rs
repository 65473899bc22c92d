//! The engine over llama.cpp on real models: every sampling option against its definition, the
//! tokenizer, embeddings, adapters and stopping.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

mod choice;
mod constraint;
mod definitions;
mod grammar;
mod images;
mod mirostat;
mod penalties;
mod places;
mod running;
mod saving;
mod sharing;
mod statistics;
mod support;
mod temperature;
mod thoughts;
mod tokenizer;
mod truncation;
mod vectors;
