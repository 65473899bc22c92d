use rkllmjs_core::{Detail, Error, ErrorCode};
use serde::{Deserialize, Serialize};

use super::names::lasting;

/// An [`Error`] on its way between two processes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WireError {
    code: String,
    option: Option<String>,
    message: String,
    details: Vec<(String, WireDetail)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum WireDetail {
    Number(u64),
    Text(String),
    List(Vec<String>),
}

impl From<Error> for WireError {
    fn from(error: Error) -> Self {
        let details = error.details.into_iter().map(|(name, detail)| (name.to_owned(), detail.into()));
        Self {
            code: error.code.as_str().to_owned(),
            option: error.option.map(str::to_owned),
            message: error.message,
            details: details.collect(),
        }
    }
}

impl From<WireError> for Error {
    fn from(wire: WireError) -> Self {
        let code = ErrorCode::ALL.into_iter().find(|code| code.as_str() == wire.code);
        let details = wire.details.into_iter().map(|(name, detail)| (lasting(&name), detail.into()));
        Self {
            code: code.unwrap_or(ErrorCode::Internal),
            option: wire.option.as_deref().map(lasting),
            message: wire.message,
            details: details.collect(),
        }
    }
}

impl From<Detail> for WireDetail {
    fn from(detail: Detail) -> Self {
        match detail {
            Detail::Number(number) => Self::Number(number),
            Detail::Text(text) => Self::Text(text),
            Detail::List(list) => Self::List(list),
        }
    }
}

impl From<WireDetail> for Detail {
    fn from(detail: WireDetail) -> Self {
        match detail {
            WireDetail::Number(number) => Self::Number(number),
            WireDetail::Text(text) => Self::Text(text),
            WireDetail::List(list) => Self::List(list),
        }
    }
}

#[cfg(test)]
mod tests {
    use rkllmjs_core::{Detail, Error, ErrorCode};

    use super::WireError;

    #[test]
    fn an_error_arrives_as_it_was_sent() {
        for code in ErrorCode::ALL {
            let error = Error { code, ..Error::option("top_k", "must be whole") }
                .with("needed", Detail::Number(5))
                .with("paths", Detail::List(vec!["a".to_owned()]))
                .with("found", Detail::Text("x".to_owned()));
            assert_eq!(Error::from(WireError::from(error.clone())), error);
        }
    }
}
