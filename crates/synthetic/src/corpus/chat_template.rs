//! Chat templates that are wrong, huge or hostile.

use crate::corpus::case::{Case, loads, with, without};
use crate::value::Value;

const KEY: &str = "tokenizer.chat_template";

const NESTED_LOOPS: &str = "{%- for a in range(100000) %}{%- for b in range(100000) %}\
    {%- for c in range(100000) %}x{%- endfor %}{%- endfor %}{%- endfor %}";
const DOUBLING: &str = "{%- set ns = namespace(text='x') %}{%- for i in range(60) %}\
    {%- set ns.text = ns.text ~ ns.text %}{%- endfor %}{{ ns.text }}";
const ENDLESS_MACRO: &str = "{%- macro again(n) %}{{ again(n + 1) }}{%- endmacro %}{{ again(0) }}";

pub(super) fn cases() -> Vec<Case> {
    vec![
        loads("template-missing", "no template", without(KEY)),
        loads("template-empty", "an empty template", with(KEY, "")),
        loads("template-as-integer", "a number as template", with(KEY, 1)),
        loads("template-as-array", "a list as template", with(KEY, Value::Strings(vec!["a".into()]))),
        loads(
            "template-not-utf-8",
            "a template that is not text",
            with(KEY, Value::byte_string(b"{{ '\xff' }}")),
        ),
        loads("template-with-nul", "a template with a NUL inside", with(KEY, "{{ 'a\0b' }}")),
        loads(
            "template-syntax-error",
            "a block that is never closed",
            with(KEY, "{%- for m in messages %}{{ m"),
        ),
        loads("template-unknown-filter", "a filter nobody knows", with(KEY, "{{ messages | quantum }}")),
        loads("template-refuses", "a template that raises", with(KEY, "{{ raise_exception('no') }}")),
        loads("template-constant", "a template that ignores the messages", with(KEY, "always the same")),
        loads("template-2-mib", "a template of two mebibytes", with(KEY, "{{ 'x' }}".repeat((2 << 20) / 9))),
        loads("template-comment-2-mib", "a comment of two mebibytes", with(KEY, long_comment())),
        loads("template-loop-bomb", "10^15 rounds of a loop", with(KEY, NESTED_LOOPS)),
        loads(
            "template-range-bomb",
            "a list of 2^62 numbers",
            with(KEY, "{{ range(4611686018427387904) | list }}"),
        ),
        loads("template-doubling-bomb", "a string doubled sixty times", with(KEY, DOUBLING)),
        loads("template-repeat-bomb", "a string of a terabyte", with(KEY, "{{ 'x' * 1099511627776 }}")),
        loads("template-endless-macro", "a macro that calls itself", with(KEY, ENDLESS_MACRO)),
        loads(
            "template-deep-parentheses",
            "an expression nested deeply",
            with(KEY, nested("{{ ", "(", "1", ")", " }}")),
        ),
        loads("template-deep-lists", "lists nested deeply", with(KEY, nested("{{ ", "[", "", "]", " }}"))),
        loads(
            "template-deep-blocks",
            "blocks nested deeply",
            with(KEY, nested("", "{% if true %}", "x", "{% endif %}", "")),
        ),
        loads(
            "template-long-sum",
            "an expression with very many terms",
            with(KEY, format!("{{{{ 1{} }}}}", " + 1".repeat(100_000))),
        ),
        loads(
            "template-includes-a-file",
            "a template that wants another file",
            with(KEY, "{% include '/etc/hostname' %}"),
        ),
    ]
}

fn long_comment() -> String {
    format!("{{# {} #}}", "x".repeat(2 << 20))
}

fn nested(before: &str, open: &str, inside: &str, close: &str, after: &str) -> String {
    const DEPTH: usize = 50_000;
    [before, &open.repeat(DEPTH), inside, &close.repeat(DEPTH), after].concat()
}
