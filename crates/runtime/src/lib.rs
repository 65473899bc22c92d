//! File and options to a running model.
