//! The trained part: ensembles of decision trees over a block's or a page's numbers, read in place from a file that
//! `tests/quality/train` writes.

/// The ensembles. Little-endian: for each ensemble the number of trees (u32); for each tree the number of its nodes (u8) and
/// those nodes: feature, left and right child and a zero (u8), threshold (f32). A leaf is a node that is its own child, with
/// its value in the place of the threshold, so that many rows can go down a tree side by side without asking which of them
/// have arrived.
static FILE: &[u8] = include_bytes!("model.bin");

/// The bytes of a node.
const NODE_BYTES: usize = 8;

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

/// One ensemble, read where it stands in the file: only where its trees begin is worked out, so that the first page pays no
/// more than the others.
struct Ensemble<'f> {
    /// The nodes of each tree.
    trees: Vec<&'f [[u8; NODE_BYTES]]>,
}

/// The page's kind and the blocks' worth.
pub(crate) struct Model<'f> {
    types: Ensemble<'f>,
    /// Block models that differ by chance only; their mean counts.
    blocks: Vec<Ensemble<'f>>,
}

/// The block models in the file.
const BLOCK_MODELS: usize = 2;
/// Rows that go down a tree side by side: enough for the processor to work on some while it waits for others.
const LANES: usize = 8;

/// How much of the model judges the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// All of it.
    Full,
    /// The first trees of the first model, which tell the most.
    Trees(usize),
}

impl Model<'static> {
    /// Reads the engine's own file.
    pub(crate) fn read(effort: Effort) -> Model<'static> {
        Model::from_bytes(FILE, effort)
    }
}

impl<'f> Model<'f> {
    /// Reads another file of the same form.
    pub(crate) fn from_bytes(file: &'f [u8], effort: Effort) -> Model<'f> {
        let mut at = 0;
        let types = Ensemble::read(file, &mut at, usize::MAX);
        let blocks = match effort {
            Effort::Full => (0..BLOCK_MODELS)
                .map(|_| Ensemble::read(file, &mut at, usize::MAX))
                .collect(),
            Effort::Trees(trees_max) => vec![Ensemble::read(file, &mut at, trees_max)],
        };
        Model { types, blocks }
    }

    /// How likely each kind of page is: one tree for each kind in turn, and a softmax over their sums.
    pub(crate) fn types(&self, row: &[f32]) -> TypeOdds {
        let mut sums = [0.0f32; TYPES];
        for (at, tree) in self.types.trees.iter().enumerate() {
            sums[at % TYPES] += leaves(tree, row, &[0])[0];
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
        for (number, ensemble) in self.blocks.iter().enumerate() {
            let (first, rest) = ensemble
                .trees
                .split_at(ensemble.trees.len().min(FIRST_TREES));
            for (at, trees) in [first, rest].into_iter().enumerate() {
                for group in open.chunks(LANES) {
                    // The last lanes of the last group repeat its first row, for nothing.
                    let mut starts = [group[0] * width; LANES];
                    for (start, index) in starts.iter_mut().zip(group) {
                        *start = index * width;
                    }
                    let mut found = [0.0; LANES];
                    for tree in trees {
                        let leaves = leaves(tree, rows, &starts);
                        found
                            .iter_mut()
                            .zip(leaves)
                            .for_each(|(sum, leaf)| *sum += leaf);
                    }
                    for (index, found) in group.iter().zip(found) {
                        sums[*index] += found;
                    }
                }
                if number == 0 && at == 0 {
                    for index in &open {
                        odds[*index] = logistic(sums[*index]);
                    }
                    if odds.len() > THOROUGH_MAX {
                        return odds;
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

/// More blocks than any of 350 real pages has: they are judged by the first trees alone, which bounds what a hostile page costs.
const THOROUGH_MAX: usize = 3_000;
/// Trees after which the clear cases are settled.
const FIRST_TREES: usize = 40;
/// A block with lower odds by then is boilerplate; on most pages that is the greater part.
const ODDS_SETTLED_MAX: f32 = 0.03;

fn logistic(sum: f32) -> f32 {
    1.0 / (1.0 + (-sum).exp())
}

impl<'f> Ensemble<'f> {
    /// Finds the first trees of the ensemble that starts at `at`, and moves past all of them.
    fn read(file: &'f [u8], at: &mut usize, trees_max: usize) -> Ensemble<'f> {
        let count = u32::from_le_bytes(bytes(file, *at)) as usize;
        *at += 4;
        let mut trees = Vec::with_capacity(count.min(trees_max));
        for tree in 0..count {
            let [nodes] = bytes(file, *at);
            let from = *at + 1;
            *at = from + usize::from(nodes) * NODE_BYTES;
            if tree < trees_max {
                let (nodes, _) = file.get(from..*at).unwrap_or_default().as_chunks();
                trees.push(nodes);
            }
        }
        Ensemble { trees }
    }
}

/// The leaves that the rows which start at these places arrive at.
fn leaves<const N: usize>(
    tree: &[[u8; NODE_BYTES]],
    rows: &[f32],
    starts: &[usize; N],
) -> [f32; N] {
    let mut at = [0u8; N];
    loop {
        let mut moved = 0;
        for (at, start) in at.iter_mut().zip(starts) {
            let [feature, left, right, _, t0, t1, t2, t3] = tree[usize::from(*at)];
            let threshold = f32::from_le_bytes([t0, t1, t2, t3]);
            let value = rows[start + usize::from(feature)];
            let child = if value > threshold { right } else { left };
            moved |= child ^ *at;
            *at = child;
        }
        if moved == 0 {
            return at.map(|at| {
                let [_, _, _, _, t0, t1, t2, t3] = tree[usize::from(at)];
                f32::from_le_bytes([t0, t1, t2, t3])
            });
        }
    }
}

/// The bytes at a place in a file; zeros past its end, which a file of the right form never reaches.
fn bytes<const N: usize>(file: &[u8], at: usize) -> [u8; N] {
    file.get(at..)
        .and_then(|rest| rest.first_chunk::<N>())
        .copied()
        .unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::{Effort, Ensemble, FILE, Model, TYPES};

    /// A child that points past its tree or back up it would read wrong numbers or never end.
    fn check(ensemble: &Ensemble<'_>, width: usize) {
        for tree in &ensemble.trees {
            for (index, [feature, left, right, ..]) in tree.iter().enumerate() {
                let is_leaf = usize::from(*left) == index && usize::from(*right) == index;
                let goes_down = [left, right]
                    .iter()
                    .all(|child| (index + 1..tree.len()).contains(&usize::from(**child)));
                assert!(is_leaf || goes_down);
                assert!(usize::from(*feature) < width);
            }
        }
    }

    #[test]
    fn the_file_is_sound_and_read_to_its_end() {
        let mut at = 0;
        let mut next = || Ensemble::read(FILE, &mut at, usize::MAX);
        let (types, blocks) = (next(), [next(), next()]);
        assert_eq!(at, FILE.len());
        let (page_width, block_width) = crate::text::analysis::row_widths();
        assert!(page_width.max(block_width) <= usize::from(u8::MAX) + 1);
        check(&types, page_width);
        blocks
            .iter()
            .for_each(|ensemble| check(ensemble, block_width));
        assert_eq!(types.trees.len() % TYPES, 0);
        let model = Model::read(Effort::Full);
        let odds = model.types(&vec![0.0; page_width]);
        assert!((odds.0.iter().sum::<f32>() - 1.0).abs() < 1e-3);
    }
}
