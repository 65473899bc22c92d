/// Most elements that the repetitions of one grammar may be written out to.
const WRITTEN_OUT_MAX: u64 = 100_000;

/// Refuses repetitions that llama.cpp's parser does not survive: it writes `x{m,n}` out as `n` copies
/// of `x`, checks the numbers but not what they multiply, and never ends where `m` is over `n`.
pub(super) fn check(grammar: &str) -> Result<(), String> {
    let mut rest = grammar.chars();
    // Characters of the symbol that a repetition would copy.
    let mut symbol = 1;
    let mut total = 0_u64;
    while let Some(c) = rest.next() {
        match c {
            '"' => symbol = literal(&mut rest, '"'),
            '[' => symbol = literal(&mut rest, ']'),
            '#' => drop(rest.find(|&c| c == '\n')),
            '{' => {
                let text = rest.as_str().split('}').next().unwrap_or_default();
                let copies = copies(text)?;
                total = total.saturating_add(copies.saturating_mul(symbol));
                symbol = symbol.saturating_mul(copies);
            }
            c if c.is_whitespace() || "}0123456789,".contains(c) => {}
            // A rule's name and a group stand for one reference.
            _ => symbol = 1,
        }
    }
    if total > WRITTEN_OUT_MAX {
        return Err(format!(
            "its repetitions come to {total} elements written out, at most {WRITTEN_OUT_MAX} are allowed"
        ));
    }
    Ok(())
}

/// How many characters stand before the end of a literal or a class.
fn literal(rest: &mut std::str::Chars<'_>, end: char) -> u64 {
    let mut length = 0;
    while let Some(c) = rest.next() {
        if c == end {
            break;
        }
        if c == '\\' {
            rest.next();
        }
        length += 1;
    }
    length.max(1)
}

/// How often a repetition such as `2,5` copies its symbol. What is no number is left to the parser.
fn copies(text: &str) -> Result<u64, String> {
    let (least, most) = text.split_once(',').map_or((text, None), |(least, most)| (least, Some(most)));
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (number(least), most.and_then(number)) {
        (Some(least), Some(most)) if least > most => {
            Err(format!("{{{text}}} repeats at least more than at most"))
        }
        (least, most) => Ok(most.or(least).unwrap_or(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn ordinary_repetitions_pass() {
        for grammar in [
            "root ::= [a-z]{1,30} (\"x\" | \"{5,2}\"){3} word{2,}",
            "root ::= \"a\" # {5,2}\nword ::= [{5,2}] \"\\\"{5,2}\" x{0}",
            "root ::= \"unclosed",
            "root ::= x{",
            "{",
        ] {
            assert_eq!(check(grammar), Ok(()), "{grammar}");
        }
    }

    #[test]
    fn a_least_over_the_most_is_refused_and_so_is_what_would_fill_the_memory() {
        for grammar in ["root ::= x{5,2}", "root ::= (a | \"b\") { 5 , 2 }", "root ::= \"é\\\"\"{3,0}"] {
            assert!(check(grammar).is_err_and(|why| why.contains("at least")), "{grammar}");
        }
        let long = format!("root ::= \"{}\"{{2000}}", "a".repeat(100));
        let twice = "root ::= \"a\"{400}{400}".to_owned();
        let many = format!("root ::= {}", "x{2000} ".repeat(60));
        for grammar in [long, twice, many] {
            assert!(check(&grammar).is_err_and(|why| why.contains("written out")), "{grammar}");
        }
    }
}
