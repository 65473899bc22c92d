use std::ops::Range;

use crate::{Error, ErrorCode, Token};

/// Tokens from here on stand for rows of media: no vocabulary is that large.
pub const FIRST_ROW_TOKEN: Token = 1 << 31;

/// Whether a token stands for a row of a medium.
pub fn stands_for_a_row(token: Token) -> bool {
    token >= FIRST_ROW_TOKEN
}

/// What the rows of a medium see of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowAttention {
    /// Those before them, as tokens do.
    Causal,
    /// All of them, so that they are computed at once.
    Mutual,
}

/// Where the rows of a medium stand for the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowPlaces {
    /// One after the other, as tokens do.
    Line,
    /// All at one place, and there side by side in lines of so many. What follows them stands as far behind that
    /// place as the longer side is long.
    Grid {
        /// Rows side by side.
        columns: u32,
    },
}

/// What an image becomes in a prompt: rows of numbers, each in the place of a token.
///
/// Every row has a token that stands for it, and whoever makes media gives different rows different ones. So what
/// goes by tokens goes by rows too: what is shared, kept, computed again and dropped.
#[derive(Debug, Clone, PartialEq)]
pub struct Medium {
    first: Token,
    width: usize,
    values: Vec<f32>,
    attention: RowAttention,
    places: RowPlaces,
}

impl Medium {
    /// Rows of `width` numbers, one after the other in `values`, whose tokens begin at `first`.
    ///
    /// # Errors
    ///
    /// `internal` if there are no whole rows, or not as many tokens left as rows.
    pub fn new(first: Token, width: usize, values: Vec<f32>, attention: RowAttention) -> Result<Self, Error> {
        let rows = values.len().checked_div(width).filter(|rows| rows * width == values.len() && *rows > 0);
        let last = rows.and_then(|rows| first.checked_add(Token::try_from(rows).ok()?));
        if last.is_none() || !stands_for_a_row(first) {
            let message = format!("{} numbers are no rows of {width} from token {first} on", values.len());
            return Err(Error::new(ErrorCode::Internal, message));
        }
        Ok(Self { first, width, values, attention, places: RowPlaces::Line })
    }

    /// The same with rows in these places.
    ///
    /// # Errors
    ///
    /// `internal` if they do not fill a grid.
    pub fn placed(self, places: RowPlaces) -> Result<Self, Error> {
        if let RowPlaces::Grid { columns } = places
            && (columns == 0 || !self.rows().is_multiple_of(columns))
        {
            let message = format!("{} rows are no lines of {columns}", self.rows());
            return Err(Error::new(ErrorCode::Internal, message));
        }
        Ok(Self { places, ..self })
    }

    /// The tokens that stand for its rows, in their order.
    pub fn tokens(&self) -> Range<Token> {
        self.first..self.first + self.rows()
    }

    /// How many rows it has; at least one.
    pub fn rows(&self) -> u32 {
        u32::try_from(self.values.len() / self.width).unwrap_or(u32::MAX)
    }

    /// Numbers of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// What its rows see of each other.
    pub fn attention(&self) -> RowAttention {
        self.attention
    }

    /// Where its rows stand for the model.
    pub fn places(&self) -> RowPlaces {
        self.places
    }

    /// How many places it takes: what follows it stands so far behind its beginning.
    pub fn span(&self) -> u32 {
        match self.places {
            RowPlaces::Line => self.rows(),
            RowPlaces::Grid { columns } => columns.max(self.rows() / columns.max(1)),
        }
    }

    /// The row that `token` stands for.
    pub fn row(&self, token: Token) -> Option<&[f32]> {
        let place = token.checked_sub(self.first)? as usize;
        let from = place.checked_mul(self.width)?;
        self.values.get(from..from.checked_add(self.width)?)
    }

    /// Whether `token` stands for one of its rows.
    pub fn has(&self, token: Token) -> bool {
        self.tokens().contains(&token)
    }

    /// With how many of its rows `tokens` begin, one after the other.
    pub(crate) fn rows_at_start(&self, tokens: &[Token]) -> usize {
        let Some(&first) = tokens.first().filter(|&&first| self.has(first)) else { return 0 };
        (first..self.tokens().end).zip(tokens).take_while(|(row, token)| row == *token).count()
    }

    /// The memory of its numbers.
    pub fn bytes(&self) -> u64 {
        size_of_val(self.values.as_slice()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::{FIRST_ROW_TOKEN, Medium, RowAttention, RowPlaces};
    use crate::Token;

    fn medium(first: Token, rows: usize) -> Medium {
        let values = (0..rows * 2).map(|value| value as f32).collect();
        Medium::new(first, 2, values, RowAttention::Causal).expect("rows")
    }

    #[test]
    fn a_token_stands_for_its_row() {
        let medium = medium(FIRST_ROW_TOKEN + 5, 3);
        assert_eq!((medium.rows(), medium.tokens()), (3, FIRST_ROW_TOKEN + 5..FIRST_ROW_TOKEN + 8));
        assert_eq!(medium.row(FIRST_ROW_TOKEN + 6), Some([2.0, 3.0].as_slice()));
        for other in [0, FIRST_ROW_TOKEN, FIRST_ROW_TOKEN + 4, FIRST_ROW_TOKEN + 8, Token::MAX] {
            assert!(medium.row(other).is_none() && !medium.has(other), "{other}");
        }
    }

    #[test]
    fn rows_at_the_start_end_with_the_medium_or_with_other_tokens() {
        let (first, medium) = (FIRST_ROW_TOKEN, medium(FIRST_ROW_TOKEN, 3));
        assert_eq!(medium.rows_at_start(&[first, first + 1, first + 2, 7]), 3);
        assert_eq!(medium.rows_at_start(&[first + 1, first + 2, first + 3]), 2, "another medium follows");
        assert_eq!(medium.rows_at_start(&[first + 1, first, first + 1]), 1, "the same one follows");
        assert_eq!(medium.rows_at_start(&[7, first]), 0);
        assert_eq!(medium.rows_at_start(&[]), 0);
    }

    #[test]
    fn a_grid_takes_as_many_places_as_its_longer_side() {
        for (rows, columns, span) in [(6, 3, 3), (6, 2, 3), (6, 1, 6), (6, 6, 6), (1, 1, 1)] {
            let placed =
                medium(FIRST_ROW_TOKEN, rows).placed(RowPlaces::Grid { columns }).expect("whole lines");
            assert_eq!((placed.span(), placed.rows()), (span, rows as u32), "{rows} in lines of {columns}");
        }
        assert_eq!(medium(FIRST_ROW_TOKEN, 6).span(), 6);
        for columns in [0, 4, 7, u32::MAX] {
            assert!(medium(FIRST_ROW_TOKEN, 6).placed(RowPlaces::Grid { columns }).is_err(), "{columns}");
        }
    }

    #[test]
    fn what_is_no_rows_or_has_no_tokens_is_refused() {
        for (first, width, count) in [
            (FIRST_ROW_TOKEN, 2, 3),
            (FIRST_ROW_TOKEN, 2, 0),
            (FIRST_ROW_TOKEN, 0, 0),
            (7, 1, 1),
            (Token::MAX, 1, 2),
        ] {
            let made = Medium::new(first, width, vec![0.0; count], RowAttention::Mutual);
            assert!(made.is_err(), "{first} {width} {count}");
        }
    }
}
