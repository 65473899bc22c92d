use std::sync::Arc;

use rkllmjs_core::{Error, ErrorCode, Medium, RowPlaces, Token};

/// Where a token or a row stands for the model. Most models look at the first number alone; for those whose images
/// have two dimensions a line and a column follow.
pub(crate) type Position = [u32; 4];

/// Where the tokens of a sequence stand for the model, by their index in the sequence.
///
/// The two differ behind an image whose rows all stand at one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    grids: Vec<Grid>,
}

/// An image of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Grid {
    /// The index of its first row.
    start: u32,
    /// The index of what follows its last row.
    end: u32,
    /// Where all of its rows stand.
    position: u32,
    /// Where what follows it stands.
    next: u32,
}

impl Places {
    /// Those of a prompt, and of every answer to it.
    ///
    /// # Errors
    ///
    /// `internal` if the prompt has only some rows of an image whose rows stand at one place.
    pub(crate) fn of(prompt: &[Token], media: &[Arc<Medium>]) -> Result<Self, Error> {
        let is_grid = |medium: &&Arc<Medium>| matches!(medium.places(), RowPlaces::Grid { .. });
        let grids: Vec<&Arc<Medium>> = media.iter().filter(is_grid).collect();
        let mut places = Self::default();
        let mut index = 0;
        while let Some(&token) = prompt.get(index).filter(|_| !grids.is_empty()) {
            let Some(medium) = grids.iter().find(|medium| medium.has(token)) else {
                index += 1;
                continue;
            };
            let end = index + medium.rows() as usize;
            let rows = prompt.get(index..end).unwrap_or_default();
            if !rows.iter().copied().eq(medium.tokens()) {
                return Err(Error::new(ErrorCode::Internal, "a prompt has a part of an image"));
            }
            places.add(index, end, medium.span());
            index = end;
        }
        Ok(places)
    }

    fn add(&mut self, start: usize, end: usize, span: u32) {
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        let end = u32::try_from(end).unwrap_or(u32::MAX);
        let position = self.position(start);
        self.grids.push(Grid { start, end, position, next: position.saturating_add(span) });
    }

    /// Where the token at `index` stands.
    pub(crate) fn position(&self, index: u32) -> u32 {
        let count = self.grids.partition_point(|grid| grid.start <= index);
        match count.checked_sub(1).and_then(|last| self.grids.get(last)) {
            None => index,
            Some(grid) if index < grid.end => grid.position,
            Some(grid) => grid.next.saturating_add(index - grid.end),
        }
    }

    /// Where the last of the first `count` tokens stands.
    pub(crate) fn last(&self, count: u32) -> Option<u32> {
        count.checked_sub(1).map(|last| self.position(last))
    }

    /// Whether the first `count` tokens end between rows that stand at one place.
    pub(crate) fn cuts(&self, count: u32) -> bool {
        self.grids.iter().any(|grid| grid.start < count && count < grid.end)
    }

    /// Whether each of the first `count` tokens stands at its index.
    pub(crate) fn is_plain(&self, count: u32) -> bool {
        self.grids.first().is_none_or(|grid| grid.start >= count)
    }
}

/// Where a row of a medium stands that is at `index` of its sequence.
pub(crate) fn row_position(places: &Places, index: u32, medium: &Medium, token: Token) -> Position {
    let position = places.position(index);
    match medium.places() {
        RowPlaces::Line => [position; 4],
        RowPlaces::Grid { columns } => {
            let row = token.saturating_sub(medium.tokens().start);
            let columns = columns.max(1);
            [position, position.saturating_add(row / columns), position.saturating_add(row % columns), 0]
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rkllmjs_core::{FIRST_ROW_TOKEN, Medium, RowAttention, RowPlaces, Token};

    use super::{Places, row_position};

    fn medium(first: Token, rows: usize, places: RowPlaces) -> Arc<Medium> {
        let medium = Medium::new(FIRST_ROW_TOKEN + first, 1, vec![0.0; rows], RowAttention::Causal);
        Arc::new(medium.and_then(|medium| medium.placed(places)).unwrap())
    }

    fn prompt(parts: &[(usize, Option<&Arc<Medium>>)]) -> Vec<Token> {
        let mut tokens = Vec::new();
        for (text, medium) in parts {
            tokens.extend(std::iter::repeat_n(5, *text));
            tokens.extend(medium.iter().flat_map(|medium| medium.tokens()));
        }
        tokens
    }

    fn positions(places: &Places, count: u32) -> Vec<u32> {
        (0..count).map(|index| places.position(index)).collect()
    }

    #[test]
    fn text_and_rows_in_a_line_stand_at_their_index() {
        let sound = medium(0, 3, RowPlaces::Line);
        let places = Places::of(&prompt(&[(2, Some(&sound)), (2, None)]), &[sound]).unwrap();
        assert_eq!(positions(&places, 9), (0..9).collect::<Vec<u32>>());
        assert_eq!(
            (places.last(0), places.last(4), places.cuts(3), places.is_plain(9)),
            (None, Some(3), false, true)
        );
    }

    #[test]
    fn what_follows_an_image_stands_behind_its_longer_side() {
        // Two lines of three, then three lines of one.
        let (wide, high) =
            (medium(0, 6, RowPlaces::Grid { columns: 3 }), medium(9, 3, RowPlaces::Grid { columns: 1 }));
        let tokens = prompt(&[(2, Some(&wide)), (1, Some(&high)), (0, Some(&high)), (2, None)]);
        let places = Places::of(&tokens, &[Arc::clone(&wide), high]).unwrap();
        assert_eq!(positions(&places, 18), [0, 1, 2, 2, 2, 2, 2, 2, 5, 6, 6, 6, 9, 9, 9, 12, 13, 14]);
        assert_eq!(
            (places.last(2), places.last(3), places.last(8), places.last(9)),
            (Some(1), Some(2), Some(2), Some(5))
        );
        let cut: Vec<u32> = (0..18).filter(|&count| places.cuts(count)).collect();
        assert_eq!(cut, [3, 4, 5, 6, 7, 10, 11, 13, 14]);
        assert_eq!((places.is_plain(2), places.is_plain(3)), (true, false));
        let rows = (2..8).zip(wide.tokens()).map(|(index, token)| row_position(&places, index, &wide, token));
        assert_eq!(
            rows.collect::<Vec<_>>(),
            [[2, 2, 2, 0], [2, 2, 3, 0], [2, 2, 4, 0], [2, 3, 2, 0], [2, 3, 3, 0], [2, 3, 4, 0]]
        );
    }

    #[test]
    fn a_part_of_an_image_is_refused() {
        let image = medium(0, 4, RowPlaces::Grid { columns: 2 });
        for wrong in [
            vec![5, FIRST_ROW_TOKEN + 1, FIRST_ROW_TOKEN + 2],
            vec![FIRST_ROW_TOKEN, 5],
            vec![FIRST_ROW_TOKEN],
        ] {
            assert!(Places::of(&wrong, &[Arc::clone(&image)]).is_err(), "{wrong:?}");
        }
    }
}
