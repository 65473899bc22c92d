//! The published table of options is the one the code goes by.

#[path = "../examples/option_tables.rs"]
#[expect(dead_code, reason = "a test has no use for its `main`")]
mod option_tables;

#[test]
fn the_page_of_options_is_what_the_code_says() {
    let page = include_str!("../../../docs/options.md");
    assert!(
        page.contains(&option_tables::option_tables()),
        "docs/options.md is out of date: run `npm run docs`"
    );
}
