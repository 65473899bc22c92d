//! Prints the tables of numeric options as JavaScript knows them, in Markdown: a part of
//! `docs/options.md`, which `npm run docs` writes.

use std::io::Write;

use rkllmjs_core::{IMAGE_OPTIONS, OPTIONS, OptionFact};
use rkllmjs_runtime::{LOAD_OPTIONS, NPU_OPTIONS};

/// Rows that are no plain number in JavaScript; the table of the other options has these.
const NOT_NUMBERS: [&str; 4] = ["logit_bias", "lora", "control_vectors", "gpu_layers"];

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(option_tables().as_bytes())
}

/// The tables under their headings.
pub(crate) fn option_tables() -> String {
    let tables = [
        ("Generation", &OPTIONS[..]),
        ("Loading", &LOAD_OPTIONS),
        ("Loading on an NPU", &NPU_OPTIONS),
        ("Images of a prompt on an NPU", &IMAGE_OPTIONS),
    ];
    let sections = tables.map(|(heading, facts)| format!("### {heading}\n\n{}", table(facts)));
    sections.join("\n")
}

fn table(facts: &[OptionFact]) -> String {
    let rows = facts.iter().filter(|fact| !NOT_NUMBERS.contains(&fact.name)).map(row);
    let head = "| option | default | range | meaning |\n|---|---|---|---|\n".to_owned();
    rows.fold(head, |table, row| table + &row)
}

fn row(fact: &OptionFact) -> String {
    let OptionFact { name, default, min, max, whole, meaning } = fact;
    let kind = if *whole { "whole, " } else { "" };
    with_camel_case_names(&format!("| `{name}` | {default} | {kind}{min} to {max} | {meaning} |\n"))
}

/// Writes every option named in `text` as JavaScript does.
fn with_camel_case_names(text: &str) -> String {
    let facts = OPTIONS.iter().chain(&LOAD_OPTIONS).chain(&NPU_OPTIONS).chain(&IMAGE_OPTIONS);
    let mut names: Vec<&str> = facts.map(|fact| fact.name).collect();
    // The longest first: one name may be a part of another.
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names.into_iter().fold(text.to_owned(), |text, name| text.replace(name, &camel_case(name)))
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        let (initial, rest) = word.split_at(1);
        text + &initial.to_ascii_uppercase() + rest
    })
}
