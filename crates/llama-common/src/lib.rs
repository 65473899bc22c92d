//! llama.cpp common: templates and parsers behind a shim that catches every exception.
