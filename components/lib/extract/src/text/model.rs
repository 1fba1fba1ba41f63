//! The trained part: ensembles of decision trees over a block's or a page's numbers, read in place from a file that
//! `tests/quality/train` writes.

/// The ensembles. Little-endian: for each ensemble the number of trees (u32); for each tree the number of its inner nodes
/// (u16), those nodes (feature u16, left u16, right u16, threshold f32), then one more leaves than nodes (f32). A child with
/// [`LEAF`] set is a leaf.
static FILE: &[u8] = include_bytes!("model.bin");

/// Marks a child as a leaf.
const LEAF: u16 = 0x8000;

/// The kinds of pages, in the order of the type ensemble's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PageType {
    Article,
    Service,
    Product,
    Collection,
    Forum,
    Listing,
    Documentation,
}

/// The number of kinds of pages.
pub(crate) const TYPES: usize = 7;

const ALL_TYPES: [PageType; TYPES] = [
    PageType::Article,
    PageType::Service,
    PageType::Product,
    PageType::Collection,
    PageType::Forum,
    PageType::Listing,
    PageType::Documentation,
];

impl PageType {
    /// The name that results give.
    pub(crate) fn name(self) -> &'static str {
        match self {
            PageType::Article => "article",
            PageType::Service => "service",
            PageType::Product => "product",
            PageType::Collection => "collection",
            PageType::Forum => "forum",
            PageType::Listing => "listing",
            PageType::Documentation => "documentation",
        }
    }
}

/// How likely a page is of each kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TypeOdds(pub(crate) [f32; TYPES]);

impl TypeOdds {
    pub(crate) fn of(&self, kind: PageType) -> f32 {
        self.0[kind as usize]
    }

    pub(crate) fn likeliest(&self) -> PageType {
        ALL_TYPES.into_iter().fold(PageType::Article, |best, kind| {
            if self.of(kind) > self.of(best) {
                kind
            } else {
                best
            }
        })
    }
}

#[derive(Clone, Copy)]
struct Split {
    feature: u16,
    children: [u16; 2],
    threshold: f32,
}

/// One ensemble in memory; reading it costs some microseconds, so nothing is kept between pages.
struct Ensemble {
    splits: Vec<Split>,
    leaves: Vec<f32>,
    /// Where each tree's splits and leaves start.
    trees: Vec<(u32, u32)>,
}

/// The page's kind and the blocks' worth.
pub(crate) struct Model {
    types: Ensemble,
    /// Block models that differ by chance only; their mean counts.
    blocks: Vec<Ensemble>,
}

/// The block models in the file.
const BLOCK_MODELS: usize = 2;
/// Rows that go through a tree together: few enough to stay in the first-level cache, enough to make up for loading the
/// tree.
const ROWS_AT_ONCE: usize = 16;

/// How much of the model judges the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// All of it.
    Full,
    /// The first trees of the first model, which tell the most.
    Trees(usize),
}

impl Model {
    /// Reads the engine's own file.
    pub(crate) fn read(effort: Effort) -> Model {
        Model::from_bytes(FILE, effort)
    }

    /// Reads another file of the same form.
    pub(crate) fn from_bytes(file: &[u8], effort: Effort) -> Model {
        let mut reader = Reader { rest: file };
        let types = Ensemble::read(&mut reader, usize::MAX);
        let blocks = match effort {
            Effort::Full => (0..BLOCK_MODELS)
                .map(|_| Ensemble::read(&mut reader, usize::MAX))
                .collect(),
            Effort::Trees(trees_max) => vec![Ensemble::read(&mut reader, trees_max)],
        };
        Model { types, blocks }
    }

    /// How likely each kind of page is: one tree for each kind in turn, and a softmax over their sums.
    pub(crate) fn types(&self, row: &[f32]) -> TypeOdds {
        let mut sums = [0.0f32; TYPES];
        for (at, tree) in self.types.trees.iter().enumerate() {
            sums[at % TYPES] += self.types.leaf(*tree, row);
        }
        let top = sums.iter().copied().fold(f32::MIN, f32::max);
        let odds = sums.map(|sum| (sum - top).exp());
        let total: f32 = odds.iter().sum();
        TypeOdds(odds.map(|odd| odd / total))
    }

    /// How likely each block belongs to the main text, for rows of this width one after another.
    pub(crate) fn blocks(&self, rows: &[f32], width: usize) -> Vec<f32> {
        let mut open: Vec<usize> = (0..rows.len() / width.max(1)).collect();
        let mut odds = vec![0.0f32; open.len()];
        let mut sums = vec![0.0f32; open.len()];
        let row = |index: usize| &rows[index * width..(index + 1) * width];
        for (number, ensemble) in self.blocks.iter().enumerate() {
            let (first, rest) = ensemble
                .trees
                .split_at(ensemble.trees.len().min(FIRST_TREES));
            for (at, trees) in [first, rest].into_iter().enumerate() {
                for group in open.chunks(ROWS_AT_ONCE) {
                    for tree in trees {
                        for index in group {
                            sums[*index] += ensemble.leaf(*tree, row(*index));
                        }
                    }
                }
                if number == 0 && at == 0 {
                    for index in &open {
                        odds[*index] = logistic(sums[*index]);
                    }
                    open.retain(|index| odds[*index] > ODDS_SETTLED_MAX);
                }
            }
        }
        for index in open {
            odds[index] = logistic(sums[index] / self.blocks.len() as f32);
        }
        odds
    }
}

/// Trees after which the clear cases are settled.
const FIRST_TREES: usize = 40;
/// A block with lower odds by then is boilerplate; on most pages that is the greater part.
const ODDS_SETTLED_MAX: f32 = 0.03;

fn logistic(sum: f32) -> f32 {
    1.0 / (1.0 + (-sum).exp())
}

impl Ensemble {
    fn read(reader: &mut Reader<'_>, trees_max: usize) -> Ensemble {
        let count = u32::from_le_bytes(reader.take()) as usize;
        let mut ensemble = Ensemble {
            splits: Vec::new(),
            leaves: Vec::new(),
            trees: Vec::with_capacity(count),
        };
        for at in 0..count {
            let splits = usize::from(reader.u16());
            if at < trees_max {
                ensemble
                    .trees
                    .push((ensemble.splits.len() as u32, ensemble.leaves.len() as u32));
            }
            for _ in 0..splits {
                let split = Split {
                    feature: reader.u16(),
                    children: [reader.u16(), reader.u16()],
                    threshold: reader.f32(),
                };
                if at < trees_max {
                    ensemble.splits.push(split);
                }
            }
            for _ in 0..=splits {
                let leaf = reader.f32();
                if at < trees_max {
                    ensemble.leaves.push(leaf);
                }
            }
        }
        ensemble
    }

    fn leaf(&self, (splits, leaves): (u32, u32), row: &[f32]) -> f32 {
        let mut at = 0;
        loop {
            let split = self.splits[splits as usize + usize::from(at)];
            let is_right = row[usize::from(split.feature)] > split.threshold;
            let child = split.children[usize::from(is_right)];
            if child & LEAF != 0 {
                return self.leaves[leaves as usize + usize::from(child & !LEAF)];
            }
            at = child;
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// The next bytes; zeros past the end, which a file of the right form never reaches.
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            return [0; N];
        };
        self.rest = rest;
        *head
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn f32(&mut self) -> f32 {
        f32::from_le_bytes(self.take())
    }
}

#[cfg(test)]
mod tests {
    use super::{Effort, Ensemble, FILE, LEAF, Model, Reader};

    /// A child that points past its tree or back up it would read wrong numbers or never end.
    fn check(ensemble: &Ensemble, width: usize) {
        for (at, (splits, leaves)) in ensemble.trees.iter().enumerate() {
            let next = ensemble.trees.get(at + 1);
            let splits_end = next.map_or(ensemble.splits.len(), |next| next.0 as usize);
            let leaves_end = next.map_or(ensemble.leaves.len(), |next| next.1 as usize);
            assert_eq!(
                splits_end - *splits as usize + 1,
                leaves_end - *leaves as usize
            );
            for (index, split) in ensemble.splits[*splits as usize..splits_end]
                .iter()
                .enumerate()
            {
                assert!(usize::from(split.feature) < width);
                for child in split.children {
                    if child & LEAF == 0 {
                        assert!(
                            usize::from(child) > index
                                && usize::from(child) < splits_end - *splits as usize
                        );
                    } else {
                        assert!(usize::from(child & !LEAF) < leaves_end - *leaves as usize);
                    }
                }
            }
        }
    }

    #[test]
    fn the_file_is_sound_and_read_to_its_end() {
        let mut reader = Reader { rest: FILE };
        let types = Ensemble::read(&mut reader, usize::MAX);
        let blocks = [
            Ensemble::read(&mut reader, usize::MAX),
            Ensemble::read(&mut reader, usize::MAX),
        ];
        assert!(reader.rest.is_empty());
        let (page_width, block_width) = crate::text::analysis::row_widths();
        check(&types, page_width);
        blocks
            .iter()
            .for_each(|ensemble| check(ensemble, block_width));
        assert_eq!(types.trees.len() % super::TYPES, 0);
        let model = Model::read(Effort::Full);
        let odds = model.types(&vec![0.0; page_width]);
        assert!((odds.0.iter().sum::<f32>() - 1.0).abs() < 1e-3);
    }
}
