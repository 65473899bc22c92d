//! What every engine must do: a set of checks that each engine's tests run on a real instance.
