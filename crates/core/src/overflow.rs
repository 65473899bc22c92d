/// What happens to an answer that fills the context of its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// It ends with the finish reason `length`.
    #[default]
    End,
    /// It goes on: half of the tokens after those that its request keeps are dropped, the oldest first. Needs
    /// an engine that [can](crate::Engine::can_shift). An answer without a number of tokens to end at ends all
    /// the same.
    Shift,
}
