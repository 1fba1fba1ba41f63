//! The trained part: ensembles of decision trees over a block's or a page's numbers, read from a file that
//! `tests/quality/train` writes.

use std::ops::Range;

/// The ensembles. Little-endian: for each ensemble the number of trees (u32); for each tree the number of its nodes (u8) and
/// those nodes: feature, left and right child and a zero (u8), threshold (f32). A leaf is a node that is its own child, with
/// its value in the place of the threshold. What is greater than the threshold goes right.
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

/// The page's kind and the blocks' worth.
pub(crate) struct Model<'f> {
    /// Walked where they stand: every instance reads the model anew, and this part is too large to be sorted for a few pages.
    types: Vec<Tree<'f>>,
    /// Block models that differ by chance only; their mean counts. Each has its first trees apart from the rest.
    blocks: Vec<[Forest; 2]>,
}

/// The block models in the file.
const BLOCK_MODELS: usize = 2;
/// Rows that are judged side by side: as many as fill two vectors of the processor.
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
        let types = ensemble(file, &mut at);
        let block_models = match effort {
            Effort::Full => BLOCK_MODELS,
            Effort::Trees(_) => 1,
        };
        let blocks = (0..block_models).map(|_| {
            let mut trees = ensemble(file, &mut at);
            if let Effort::Trees(trees_max) = effort {
                trees.truncate(trees_max);
            }
            let (first, rest) = trees.split_at(trees.len().min(FIRST_TREES));
            [Forest::new(first), Forest::new(rest)]
        });
        Model {
            types,
            blocks: blocks.collect(),
        }
    }

    /// How likely each kind of page is: one tree for each kind in turn, and a softmax over their sums.
    #[inline(never)]
    pub(crate) fn types(&self, row: &[f32]) -> TypeOdds {
        let mut padded = [0.0; FEATURES_MAX];
        let width = row.len().min(FEATURES_MAX);
        padded[..width].copy_from_slice(&row[..width]);
        let mut sums = [0.0f32; TYPES];
        for trees in self.types.chunks(TYPES) {
            for (sum, tree) in sums.iter_mut().zip(trees) {
                *sum += walk(tree, &padded);
            }
        }
        let top = greatest(&sums);
        let odds = sums.map(|sum| (sum - top).exp());
        let total: f32 = odds.iter().sum();
        TypeOdds(odds.map(|odd| odd / total))
    }

    /// How likely each block belongs to the main text, for rows of this width one after another.
    #[inline(never)]
    pub(crate) fn blocks(&self, mut rows: Vec<f32>, width: usize) -> Vec<f32> {
        let mut open: Vec<usize> = (0..rows.len() / width.max(1)).collect();
        let mut odds = vec![0.0f32; open.len()];
        let mut sums = vec![0.0f32; open.len()];
        if open.is_empty() {
            return odds;
        }
        let mut scratch = Scratch::default();
        let varying = varying(&rows, width);
        // So that each row stands in an array in which any feature may be looked up.
        rows.resize(rows.len() + FEATURES_MAX, 0.0);
        for (number, forests) in self.blocks.iter().enumerate() {
            for (at, forest) in forests.iter().enumerate() {
                let outset = forest.outset(&rows, |feature| varying[usize::from(feature)] != 0);
                for group in open.chunks(LANES) {
                    // The last lanes of the last group repeat its first row, for nothing.
                    let mut starts = [group[0] * width; LANES];
                    for (start, index) in starts.iter_mut().zip(group) {
                        *start = index * width;
                    }
                    let mut found = [0.0; LANES];
                    forest.judge(&rows, starts, &outset, &mut scratch, |_, leaves| {
                        found
                            .iter_mut()
                            .zip(leaves)
                            .for_each(|(sum, leaf)| *sum += leaf);
                    });
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

/// In WASM `f32::max` is a call, for the sake of values that are no numbers.
fn greatest(values: &[f32]) -> f32 {
    let greater = |most, value: &f32| if *value > most { *value } else { most };
    values.iter().fold(f32::MIN, greater)
}

fn logistic(sum: f32) -> f32 {
    1.0 / (1.0 + (-sum).exp())
}

/// The nodes of a tree as they stand in the file.
type Tree<'f> = &'f [[u8; NODE_BYTES]];

/// The trees of the ensemble that starts at `at`, which moves past it.
fn ensemble<'f>(file: &'f [u8], at: &mut usize) -> Vec<Tree<'f>> {
    let count = u32::from_le_bytes(bytes(file, *at)) as usize;
    *at += 4;
    let mut trees = Vec::new();
    for _ in 0..count {
        let [nodes] = bytes(file, *at);
        let from = *at + 1;
        *at = from + usize::from(nodes) * NODE_BYTES;
        let (nodes, _) = file.get(from..*at).unwrap_or_default().as_chunks();
        trees.push(nodes);
    }
    trees
}

/// A feature's number is a byte.
const FEATURES_MAX: usize = 256;

/// Steps between two looks at whether a leaf is reached, which is a node that leads to itself: as many as the trees of the
/// page's kind are deep. With no branch that depends on the row, the processor walks several trees at a time and guesses
/// nothing wrong.
const STEPS: usize = 4;

/// The leaf of a tree that a row arrives at.
fn walk(tree: Tree<'_>, row: &[f32; FEATURES_MAX]) -> f32 {
    let mut at = 0;
    loop {
        for _ in 0..STEPS {
            let node = u64::from_le_bytes(tree[at]);
            let threshold = f32::from_bits((node >> 32) as u32);
            let is_right = row[usize::from(node as u8)] > threshold;
            at = usize::from((node >> (8 << u32::from(is_right))) as u8);
        }
        let [_, left, _, _, value @ ..] = tree[at];
        if usize::from(left) == at {
            return f32::from_le_bytes(value);
        }
    }
}

/// Leaves of a tree that one mask holds.
const LEAVES_MAX: usize = 32;

/// Trees turned inside out, as the QuickScorer algorithm has it (Lucchese et al., SIGIR 2015): all their splits are sorted by
/// feature and threshold. A value that is greater than a split's threshold rules out the leaves on the left of that split,
/// and when all features are done, the first leaf of a tree that is left is the one its row arrives at. No step waits for the
/// one before, and many rows take it at once.
struct Forest {
    splits: Vec<Split>,
    /// Each feature with the end of its splits.
    features: Vec<(u8, usize)>,
    leaves: Vec<[f32; LEAVES_MAX]>,
}

#[derive(Clone, Copy)]
struct Split {
    threshold: f32,
    tree: u32,
    /// The leaves that are left where the value is greater.
    right: u32,
}

impl Forest {
    fn new(trees: &[Tree<'_>]) -> Forest {
        let mut splits = Vec::new();
        let mut leaves = vec![[0.0; LEAVES_MAX]; trees.len()];
        for (number, (tree, leaves)) in trees.iter().zip(&mut leaves).enumerate() {
            let mut count = 0;
            collect(
                tree,
                0,
                leaves,
                &mut count,
                &mut |feature, threshold, left| {
                    splits.push((
                        feature,
                        Split {
                            threshold,
                            tree: number as u32,
                            right: !left,
                        },
                    ));
                },
            );
        }
        // By feature and threshold, as numbers that sort quickly: the first page of an instance waits for it.
        let key = |(at, (feature, split)): (usize, &(u8, Split))| {
            let bits = split.threshold.to_bits();
            let ascending = if bits >> 31 == 0 {
                bits | 1 << 31
            } else {
                !bits
            };
            u64::from(*feature) << 56 | u64::from(ascending) << 24 | at as u64
        };
        let mut order: Vec<u64> = splits.iter().enumerate().map(key).collect();
        order.sort_unstable();
        let splits: Vec<(u8, Split)> = (order.iter())
            .map(|key| splits[(key & 0x00ff_ffff) as usize])
            .collect();
        let mut features: Vec<(u8, usize)> = Vec::new();
        for (at, (feature, _)) in splits.iter().enumerate() {
            match features.last_mut() {
                Some((last, end)) if last == feature => *end = at + 1,
                _ => features.push((*feature, at + 1)),
            }
        }
        Forest {
            splits: splits.into_iter().map(|(_, split)| split).collect(),
            features,
            leaves,
        }
    }

    /// What all rows have in common, by the first of them and by which features vary among them.
    fn outset(&self, row: &[f32], varies: impl Fn(u8) -> bool) -> Outset {
        let mut reached = vec![u32::MAX; self.leaves.len()];
        let mut open = Vec::new();
        let mut from = 0;
        for (feature, end) in &self.features {
            if varies(*feature) {
                open.push((*feature, from..*end));
            } else {
                let value = row[usize::from(*feature)];
                self.splits[from..*end]
                    .iter()
                    .take_while(|split| value > split.threshold)
                    .for_each(|split| reached[split.tree as usize] &= split.right);
            }
            from = *end;
        }
        Outset { reached, open }
    }

    /// Tells `take`, tree by tree, the leaves that the rows which start at these places arrive at.
    fn judge<const N: usize>(
        &self,
        rows: &[f32],
        starts: [usize; N],
        outset: &Outset,
        scratch: &mut Scratch<N>,
        mut take: impl FnMut(usize, [f32; N]),
    ) {
        let Scratch { columns, reached } = scratch;
        reached.clear();
        reached.extend(outset.reached.iter().map(|leaves| [*leaves; N]));
        gather(rows, starts, &outset.open, columns);
        self.rule_out(&outset.open, columns, reached);
        for (tree, reached) in reached.iter().enumerate() {
            take(tree, reached.map(|reached| self.leaf(tree, reached)));
        }
    }

    /// Rules out the leaves on the left of each split that a row's value is above.
    #[inline(never)]
    fn rule_out<const N: usize>(
        &self,
        open: &[(u8, Range<usize>)],
        columns: &[([f32; N], f32)],
        reached: &mut [[u32; N]],
    ) {
        for ((_, range), (values, most)) in open.iter().zip(columns) {
            for split in &self.splits[range.clone()] {
                if split.threshold >= *most {
                    break;
                }
                // Written so that the compiler takes all lanes in a few vector instructions, in WASM, too.
                let reached = &mut reached[split.tree as usize];
                *reached = std::array::from_fn(|lane| {
                    let is_left = u32::from(values[lane] > split.threshold).wrapping_sub(1);
                    reached[lane] & (split.right | is_left)
                });
            }
        }
    }

    /// The first leaf of a tree that is left.
    fn leaf(&self, tree: usize, reached: u32) -> f32 {
        self.leaves[tree][reached.trailing_zeros() as usize % LEAVES_MAX]
    }
}

/// How far a forest gets with the features that are the same in all rows of a page: mostly more than half of them.
struct Outset {
    /// The leaves of each tree that are left.
    reached: Vec<u32>,
    /// The features that vary, with their splits.
    open: Vec<(u8, Range<usize>)>,
}

/// The values of rows that start at these places, by feature.
#[inline(never)]
fn gather<const N: usize>(
    rows: &[f32],
    starts: [usize; N],
    open: &[(u8, Range<usize>)],
    columns: &mut Vec<([f32; N], f32)>,
) {
    let none = [0.0; FEATURES_MAX];
    let rows = starts.map(|start| rows[start..].first_chunk().unwrap_or(&none));
    columns.clear();
    columns.extend(open.iter().map(|(feature, _)| {
        let values = rows.map(|row: &[f32; FEATURES_MAX]| row[usize::from(*feature)]);
        (values, greatest(&values))
    }));
}

/// Room for judging rows side by side, which is there to be used again.
#[derive(Default)]
struct Scratch<const N: usize> {
    /// The rows' values by feature, and the greatest. They stand in memory, where the compiler for WASM finds a vector in
    /// them: gathered just before they are compared it takes them one by one.
    columns: Vec<([f32; N], f32)>,
    /// The leaves of each tree that are left.
    reached: Vec<[u32; N]>,
}

/// For each feature, a number that is 0 where all rows have the same value.
fn varying(rows: &[f32], width: usize) -> Vec<u32> {
    let mut varying = vec![0; width];
    let first = &rows[..width.min(rows.len())];
    for row in rows.chunks_exact(width.max(1)) {
        for ((varying, value), one) in varying.iter_mut().zip(row).zip(first) {
            *varying |= value.to_bits() ^ one.to_bits();
        }
    }
    varying
}

/// Writes a subtree's leaves from left to right and tells of its splits: feature, threshold, and the leaves on the left. The
/// leaves below the node.
fn collect(
    tree: Tree<'_>,
    node: usize,
    leaves: &mut [f32; LEAVES_MAX],
    count: &mut usize,
    split: &mut impl FnMut(u8, f32, u32),
) -> u32 {
    let Some([feature, left, right, _, t0, t1, t2, t3]) = tree.get(node).copied() else {
        return 0;
    };
    let value = f32::from_le_bytes([t0, t1, t2, t3]);
    let (left, right) = (usize::from(left), usize::from(right));
    if left <= node || right <= node {
        let Some(leaf) = leaves.get_mut(*count) else {
            return 0;
        };
        *leaf = value;
        *count += 1;
        return 1 << (*count - 1);
    }
    let on_left = collect(tree, left, leaves, count, split);
    split(feature, value, on_left);
    on_left | collect(tree, right, leaves, count, split)
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
    use super::{Effort, FILE, Forest, LEAVES_MAX, Model, Scratch, TYPES, Tree, ensemble, walk};

    /// A child that points past its tree or back up it would be read as a leaf.
    fn check(trees: &[Tree<'_>], width: usize) {
        for tree in trees {
            assert!(tree.len().div_ceil(2) <= LEAVES_MAX);
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
        let mut next = || ensemble(FILE, &mut at);
        let (types, blocks) = (next(), [next(), next()]);
        assert_eq!(at, FILE.len());
        let (page_width, block_width) = crate::text::analysis::row_widths();
        assert!(page_width.max(block_width) <= usize::from(u8::MAX) + 1);
        check(&types, page_width);
        blocks.iter().for_each(|trees| check(trees, block_width));
        assert_eq!(types.len() % TYPES, 0);
        let model = Model::read(Effort::Full);
        let odds = model.types(&vec![0.0; page_width]);
        assert!((odds.0.iter().sum::<f32>() - 1.0).abs() < 1e-3);
    }

    #[test]
    fn a_row_arrives_where_a_walk_down_the_tree_does() {
        let mut at = 0;
        for trees in [(); 3].map(|()| ensemble(FILE, &mut at)) {
            let forest = Forest::new(&trees);
            // Rows that stand on thresholds, just beside them and far from all.
            let thresholds: Vec<f32> = forest.splits.iter().map(|split| split.threshold).collect();
            let mut rows: Vec<f32> = Vec::new();
            for row in 0..40usize {
                rows.extend((0..256usize).map(|feature| {
                    let near = thresholds[(row * 7919 + feature * 31) % thresholds.len()];
                    [near, near.next_up(), near.next_down(), -1.0, 0.0, 1e9][(row + feature) % 6]
                }));
            }
            // Once as if all varied, once with every third feature the same in all rows.
            for step in [256, 3] {
                let is_same = |feature: usize| step < 256 && feature.is_multiple_of(step);
                for at in (256..rows.len()).filter(|at| is_same(at % 256)) {
                    rows[at] = rows[at % 256];
                }
                let outset = forest.outset(&rows, |feature| !is_same(usize::from(feature)));
                for row in 0..32 {
                    let starts: [usize; 8] = std::array::from_fn(|lane| (row + lane) * 256);
                    forest.judge(
                        &rows,
                        starts,
                        &outset,
                        &mut Scratch::default(),
                        |tree, leaves| {
                            for (start, leaf) in starts.iter().zip(leaves) {
                                let row = &rows[*start..start + 256];
                                assert_eq!(
                                    Some(leaf),
                                    row.first_chunk().map(|row| walk(trees[tree], row))
                                );
                            }
                        },
                    );
                }
            }
        }
    }
}
