/// Days that every year has, after the year.
macro_rules! day {
    () => {
        "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    };
}

/// A date; the 29th of February in leap years alone.
macro_rules! date {
    () => {
        concat!(
            "(?:[0-9]{4}-",
            day!(),
            "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
        )
    };
}

macro_rules! time {
    () => {
        r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
    };
}

macro_rules! label {
    () => {
        "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    };
}

macro_rules! octet {
    () => {
        "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
    };
}

macro_rules! word {
    () => {
        "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,32}"
    };
}

/// The expression that texts of a format match. None matches without end.
pub(super) fn pattern_of(format: &str) -> Option<&'static str> {
    Some(match format {
        "date" => concat!("^", date!(), "$"),
        "time" => concat!("^", time!(), "$"),
        "date-time" => concat!("^", date!(), "T", time!(), "$"),
        "duration" => {
            "^P(?:[0-9]{1,6}W|(?:[0-9]{1,6}Y(?:[0-9]{1,6}M)?(?:[0-9]{1,6}D)?|[0-9]{1,6}M(?:[0-9]{1,6}D)?|[0-9]{1,6}D)\
             (?:T(?:[0-9]{1,6}H(?:[0-9]{1,6}M)?(?:[0-9]{1,6}S)?|[0-9]{1,6}M(?:[0-9]{1,6}S)?|[0-9]{1,6}S))?\
             |T(?:[0-9]{1,6}H(?:[0-9]{1,6}M)?(?:[0-9]{1,6}S)?|[0-9]{1,6}M(?:[0-9]{1,6}S)?|[0-9]{1,6}S))$"
        }
        "email" => {
            concat!("^", word!(), r"(?:\.", word!(), "){0,2}@", label!(), r"(?:\.", label!(), "){1,3}$")
        }
        "hostname" => concat!("^", label!(), r"(?:\.", label!(), "){0,2}$"),
        "ipv4" => concat!("^(?:", octet!(), r"\.){3}", octet!(), "$"),
        "ipv6" => {
            "^(?:(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|(?:[0-9a-fA-F]{1,4}:){1,6}:[0-9a-fA-F]{1,4}\
             |(?:[0-9a-fA-F]{1,4}:){1,5}(?::[0-9a-fA-F]{1,4}){2}|(?:[0-9a-fA-F]{1,4}:){1,4}(?::[0-9a-fA-F]{1,4}){3}\
             |(?:[0-9a-fA-F]{1,4}:){1,3}(?::[0-9a-fA-F]{1,4}){4}|::(?:[0-9a-fA-F]{1,4}:){0,5}[0-9a-fA-F]{1,4}|::)$"
        }
        "uuid" => "^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$",
        "uri" => concat!(
            r"^[a-zA-Z][a-zA-Z0-9+.-]{1,15}://",
            label!(),
            r"(?:\.",
            label!(),
            r"){0,3}(?::[1-9][0-9]{0,3})?(?:/[a-zA-Z0-9._~-]{0,64}){0,12}(?:\?[a-zA-Z0-9._~=&-]{0,128})?",
            "(?:#[a-zA-Z0-9._~-]{0,64})?$"
        ),
        _ => return None,
    })
}

/// The formats that are enforced.
#[cfg(test)]
pub(super) const FORMATS: [&str; 10] =
    ["date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"];
