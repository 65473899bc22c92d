//! How llama.cpp writes the cells of a sequence, read with suspicion.
//!
//! llama.cpp trusts these bytes: it asserts on positions that contradict each other, and whatever numbers they
//! hold end up in memory that the attention of other sequences may touch. So they are read here first. What it
//! checks itself, against the sizes of its own tensors, is left to it.

use std::borrow::Cow;
use std::ops::Range;

use llama_cpp_sys_2 as sys;

/// What the bytes of a sequence begin with.
const MAGIC: u32 = 0xaf14_3cd8;
/// The position, and how many sequences have the cell.
const CELL_BYTES: usize = 8;
/// The id of the one sequence that has the cell.
const OWNER_BYTES: usize = 4;
/// More layers than any model has.
const LAYERS_MAX: u32 = 4096;
/// Bytes of a half, which the blocks of quantized types begin with.
const F16_BYTES: usize = 2;

/// What is known of the cells without looking at the bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Bytes that each cell has besides: places in a picture, and its token.
    pub(crate) extra: usize,
    /// Tokens there are.
    pub(crate) vocabulary: u32,
}

/// The keys or the values of a layer: `rows` times as many items of `item` bytes as there are cells.
#[derive(Debug, Clone)]
struct Section {
    header: Range<usize>,
    data: Range<usize>,
    kind: u32,
    item: usize,
}

/// The cells of a sequence, which are sound: each of its positions from 0 on is there once.
#[derive(Debug)]
pub(crate) struct SavedCells<'a> {
    bytes: &'a [u8],
    /// Of each cell in turn.
    positions: Vec<u32>,
    cells: Range<usize>,
    cell_bytes: usize,
    /// What stands between the cells and the first section.
    common: Range<usize>,
    sections: Vec<Section>,
}

/// What is wrong with the bytes.
type Refusal = String;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<Range<usize>, Refusal> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len());
        let range = self.at..end.ok_or_else(|| format!("they end after {} bytes", self.bytes.len()))?;
        self.at = range.end;
        Ok(range)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let range = self.take(N)?;
        let found = self.bytes.get(range).and_then(|bytes| bytes.first_chunk());
        found.copied().ok_or_else(|| "they end too early".to_owned())
    }

    fn number(&mut self) -> Result<u32, Refusal> {
        self.array().map(u32::from_le_bytes)
    }

    fn expect(&mut self, what: &str, wanted: u32) -> Result<(), Refusal> {
        let found = self.number()?;
        if found == wanted { Ok(()) } else { Err(format!("{what} is {found} instead of {wanted}")) }
    }

    fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }
}

impl<'a> SavedCells<'a> {
    /// Reads what llama.cpp has written, or what somebody claims it has.
    pub(crate) fn parse(bytes: &'a [u8], layout: Layout) -> Result<Self, Refusal> {
        Self::parse_wanted(bytes, layout, None)
    }

    /// The same for somebody who wants the first `count` positions alone: behind them several cells may have the
    /// same one, as the rows of images do.
    pub(crate) fn parse_beginning(bytes: &'a [u8], layout: Layout, count: u32) -> Result<Self, Refusal> {
        Self::parse_wanted(bytes, layout, Some(count))
    }

    fn parse_wanted(bytes: &'a [u8], layout: Layout, wanted: Option<u32>) -> Result<Self, Refusal> {
        let mut reader = Reader { bytes, at: 0 };
        reader.expect("their mark", MAGIC)?;
        reader.number()?;
        reader.expect("the number of streams", 1)?;
        let count = reader.number()? as usize;
        let cell_bytes = CELL_BYTES + layout.extra + OWNER_BYTES;
        let cells = reader.take(count.checked_mul(cell_bytes).ok_or("there are too many cells")?)?;
        let positions = positions(bytes.get(cells.clone()).unwrap_or_default(), cell_bytes, layout, wanted)?;
        let common = reader.at;
        if count == 0 {
            return Err("there is no cell".to_owned());
        }
        let transposed = match reader.number()? {
            0 => false,
            1 => true,
            other => return Err(format!("values are neither plain nor transposed but {other}")),
        };
        let layers = reader.number()?;
        if layers == 0 || layers > LAYERS_MAX {
            return Err(format!("there are {layers} layers"));
        }
        // Rotations, which llama.cpp compares.
        reader.take(8)?;
        let common = common..reader.at;
        let mut sections = Vec::new();
        for _ in 0..layers {
            sections.push(plain_section(&mut reader, count)?);
        }
        // Some layers have no values of their own.
        while !reader.is_at_end() && sections.len() < 2 * layers as usize {
            let section = if transposed { transposed_section } else { plain_section };
            sections.push(section(&mut reader, count)?);
        }
        if !reader.is_at_end() {
            return Err(format!("{} bytes are left over", bytes.len() - reader.at));
        }
        Ok(Self { bytes, positions, cells, cell_bytes, common, sections })
    }

    /// Whether each of the first `count` positions is there.
    pub(crate) fn begins_with(&self, count: usize) -> bool {
        self.positions.iter().filter(|position| (**position as usize) < count).count() == count
    }

    /// How many cells there are.
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }

    /// Refuses numbers that are none: whoever attends to a cell beside them would compute none either.
    pub(crate) fn check_numbers(&self) -> Result<(), Refusal> {
        for section in &self.sections {
            let data = self.bytes.get(section.data.clone()).unwrap_or_default();
            let is_finite = match section.kind {
                sys::GGML_TYPE_F16 => all_finite(data, F16_BYTES),
                sys::GGML_TYPE_Q8_0 => all_finite(data, F16_BYTES + 32),
                sys::GGML_TYPE_Q4_0 => all_finite(data, F16_BYTES + 16),
                other => return Err(format!("they are stored as type {other}")),
            };
            if !is_finite {
                return Err("they hold infinite numbers, or what is no number".to_owned());
            }
        }
        Ok(())
    }

    /// The same with the first `count` positions alone.
    pub(crate) fn first(&self, count: usize) -> Cow<'a, [u8]> {
        if count >= self.len() {
            return Cow::Borrowed(self.bytes);
        }
        let part = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        let cells_at = self.cells.start;
        let mut first = part(&(0..cells_at - 4)).to_vec();
        first.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        self.pick(part(&self.cells), self.cell_bytes, count, &mut first);
        first.extend(part(&self.common));
        for section in &self.sections {
            first.extend(part(&section.header));
            for row in part(&section.data).chunks(section.item * self.len()) {
                self.pick(row, section.item, count, &mut first);
            }
        }
        Cow::Owned(first)
    }

    /// Of as many items as there are cells, those of the first `count` positions.
    fn pick(&self, items: &[u8], item: usize, count: usize, into: &mut Vec<u8>) {
        let pairs = items.chunks_exact(item).zip(&self.positions);
        for (bytes, _) in pairs.filter(|(_, position)| (**position as usize) < count) {
            into.extend_from_slice(bytes);
        }
    }
}

/// The positions of the cells: each up to their number once, at least those below `wanted`, each cell with one owner.
fn positions(
    cells: &[u8],
    cell_bytes: usize,
    layout: Layout,
    wanted: Option<u32>,
) -> Result<Vec<u32>, Refusal> {
    let count = cells.len() / cell_bytes;
    let mut seen = vec![false; count];
    let mut positions = Vec::with_capacity(count);
    for cell in cells.chunks_exact(cell_bytes) {
        let mut reader = Reader { bytes: cell, at: 0 };
        let position = reader.number()?;
        match seen.get_mut(position as usize) {
            _ if wanted.is_some_and(|wanted| position >= wanted) => {}
            Some(seen) if !*seen => *seen = true,
            _ => return Err(format!("position {position} does not belong among {count} cells")),
        }
        positions.push(position);
        reader.expect("the number of owners", 1)?;
        if layout.extra > 0 {
            check_extra(&mut reader, layout)?;
        }
    }
    Ok(positions)
}

/// A place in a picture and the token, -1 where there is none.
fn check_extra(reader: &mut Reader<'_>, layout: Layout) -> Result<(), Refusal> {
    let place = [reader.number()?, reader.number()?].map(u32::cast_signed);
    let token = reader.number()?;
    if place.iter().any(|&place| place < 0) || (token != u32::MAX && token >= layout.vocabulary) {
        return Err(format!("a cell is at {place:?} and of token {token}"));
    }
    Ok(())
}

/// A type, the bytes of a row, and a row for each cell.
fn plain_section(reader: &mut Reader<'_>, count: usize) -> Result<Section, Refusal> {
    let start = reader.at;
    let kind = reader.number()?;
    let row = u64::from_le_bytes(reader.array()?);
    let item = usize::try_from(row).ok().filter(|&item| item > 0);
    section(reader, start, kind, item, Some(count))
}

/// A type, the bytes of a value, how many there are in a row, and as many times a value for each cell.
fn transposed_section(reader: &mut Reader<'_>, count: usize) -> Result<Section, Refusal> {
    let start = reader.at;
    let kind = reader.number()?;
    let item = usize::try_from(reader.number()?).ok().filter(|&item| item > 0);
    let rows = reader.number()? as usize;
    section(reader, start, kind, item, count.checked_mul(rows).filter(|&items| items > 0))
}

fn section(
    reader: &mut Reader<'_>,
    start: usize,
    kind: u32,
    item: Option<usize>,
    items: Option<usize>,
) -> Result<Section, Refusal> {
    let impossible = "a layer has an impossible size";
    let item = item.ok_or(impossible)?;
    let header = start..reader.at;
    let data = reader.take(items.and_then(|items| items.checked_mul(item)).ok_or(impossible)?)?;
    Ok(Section { header, data, kind, item })
}

/// Whether no block begins with an infinite half or one that is no number.
fn all_finite(data: &[u8], block_bytes: usize) -> bool {
    let is_odd = |block: &[u8]| block.get(1).is_none_or(|high| high & 0x7c == 0x7c);
    data.len().is_multiple_of(block_bytes) && !data.chunks_exact(block_bytes).any(is_odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Layout = Layout { extra: 0, vocabulary: 100 };

    /// Two layers of two numbers each for cells at these positions, whose numbers are their positions.
    fn written(positions: &[u32], transposed: bool, extra: &[u32]) -> Vec<u8> {
        let mut words = vec![MAGIC, 7, 1, positions.len() as u32];
        for &position in positions {
            words.extend([position, 1]);
            words.extend(extra);
            words.push(7);
        }
        words.extend([u32::from(transposed), 2, 0, 0]);
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        let half = |position: &u32| [*position as u8, 1];
        for part in 0..4 {
            bytes.extend(sys::GGML_TYPE_F16.to_le_bytes());
            if part > 1 && transposed {
                bytes.extend([2_u32, 2].into_iter().flat_map(u32::to_le_bytes));
                bytes.extend([positions, positions].into_iter().flatten().flat_map(half));
            } else {
                bytes.extend(4_u64.to_le_bytes());
                bytes.extend(positions.iter().flat_map(|position| [half(position), half(position)].concat()));
            }
        }
        bytes
    }

    #[test]
    fn what_is_whole_is_read_in_whatever_order_its_cells_are() {
        for transposed in [false, true] {
            for positions in [&[0][..], &[0, 1, 2], &[2, 0, 1]] {
                let bytes = written(positions, transposed, &[]);
                let cells = SavedCells::parse(&bytes, PLAIN).unwrap();
                assert_eq!((cells.len(), cells.sections.len()), (positions.len(), 4));
                assert_eq!(cells.check_numbers(), Ok(()));
            }
        }
    }

    #[test]
    fn the_first_positions_are_cut_out_wherever_they_are() {
        for transposed in [false, true] {
            let bytes = written(&[3, 0, 4, 2, 1], transposed, &[]);
            let cells = SavedCells::parse(&bytes, PLAIN).unwrap();
            assert_eq!(*cells.first(3), written(&[0, 2, 1], transposed, &[]));
            assert_eq!(*cells.first(1), written(&[0], transposed, &[]));
            assert_eq!(*cells.first(5), bytes);
        }
    }

    #[test]
    fn behind_what_is_wanted_positions_may_be_there_several_times() {
        let bytes = written(&[1, 3, 0, 3, 2, 3], false, &[]);
        assert!(SavedCells::parse(&bytes, PLAIN).is_err());
        assert!(SavedCells::parse_beginning(&bytes, PLAIN, 4).is_err());
        let cells = SavedCells::parse_beginning(&bytes, PLAIN, 3).unwrap();
        assert!(cells.begins_with(3) && !cells.begins_with(4));
        assert_eq!(*cells.first(3), written(&[1, 0, 2], false, &[]));
    }

    #[test]
    fn every_truncation_and_every_extension_is_refused() {
        for transposed in [false, true] {
            let bytes = written(&[1, 0, 2], transposed, &[]);
            // Layers without values of their own end where the values begin.
            let cells = SavedCells::parse(&bytes, PLAIN).unwrap();
            let ends: Vec<usize> = cells.sections.iter().skip(1).map(|section| section.data.end).collect();
            for length in 0..bytes.len() {
                let refused = SavedCells::parse(bytes.get(..length).unwrap(), PLAIN).is_err();
                assert_eq!(refused, !ends.contains(&length), "{length}");
            }
            let longer = [bytes, vec![0]].concat();
            assert!(SavedCells::parse(&longer, PLAIN).is_err());
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let bytes = written(&[0, 1, 2], false, &[]);
        let with = |word: usize, value: u32| {
            let mut bytes = bytes.clone();
            bytes.get_mut(4 * word..4 * word + 4).unwrap().copy_from_slice(&value.to_le_bytes());
            SavedCells::parse(&bytes, PLAIN).err()
        };
        let huge = [6, 0x7fff_ffff, u32::MAX];
        for (word, values) in [(0, vec![1]), (2, vec![0, 2, u32::MAX]), (3, vec![0, 2, 4, u32::MAX])] {
            values.into_iter().for_each(|value| assert!(with(word, value).is_some(), "{word} {value}"));
        }
        // The position of the first cell and its owners; transposed, layers; the first layer's row.
        for (word, own) in
            [(4, vec![1, 2]), (5, vec![0, 2]), (13, vec![1, 2]), (14, vec![0, 1]), (18, vec![0, 5])]
        {
            for value in own.into_iter().chain(huge) {
                assert!(with(word, value).is_some(), "word {word}: {value}");
            }
        }
        assert_eq!(with(4, 0), None);
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        let mut bytes = written(&[0, 1], false, &[]);
        let last = bytes.len() - 1;
        for high in [0x7c, 0x7e, 0xfc, 0xff] {
            bytes[last] = high;
            assert!(SavedCells::parse(&bytes, PLAIN).unwrap().check_numbers().is_err(), "{high}");
        }
        bytes[last] = 0xfb;
        assert_eq!(SavedCells::parse(&bytes, PLAIN).unwrap().check_numbers(), Ok(()));
    }

    #[test]
    fn tokens_beside_the_cells_are_of_the_vocabulary() {
        let layout = Layout { extra: 12, ..PLAIN };
        for (extra, is_sound) in
            [([0, 0, 99], true), ([5, 6, u32::MAX], true), ([0, 0, 100], false), ([u32::MAX, 0, 1], false)]
        {
            let bytes = written(&[0, 1], false, &extra);
            assert_eq!(SavedCells::parse(&bytes, layout).is_ok(), is_sound, "{extra:?}");
            assert!(SavedCells::parse(&bytes, PLAIN).is_err());
        }
    }
}
