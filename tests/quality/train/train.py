"""Trains the text engine's model and writes it in the engine's form; see README.md.

usage: train.py BLOCKS.jsonl MODEL.bin [FOLDS_DIR]

With FOLDS_DIR it also writes, for each seventh of the pages, the model trained on the other six (N.bin) and which page is
in which seventh (folds.json), and prints the score on the pages left out.
"""

import collections
import json
import struct
import sys

import lightgbm
import numpy

TYPES = ["article", "service", "product", "collection", "forum", "listing", "documentation"]
FOLDS = 7
TYPE_ROUNDS = 60
TYPE_MODELS = 3
BLOCK_ROUNDS = 150
COMMON = dict(verbose=-1, use_missing=False, zero_as_missing=False, num_threads=1, deterministic=True, seed=1)
TYPE_MODEL = dict(COMMON, objective="multiclass", num_class=len(TYPES), learning_rate=0.08, num_leaves=5, min_data_in_leaf=8,
                  feature_fraction=0.2, bagging_fraction=0.8, bagging_freq=1, lambda_l2=5)
BLOCK_MODEL = dict(COMMON, objective="cross_entropy", learning_rate=0.08, num_leaves=31, min_data_in_leaf=40,
                   feature_fraction=0.3, bagging_fraction=0.7, bagging_freq=1, lambda_l2=8, max_bin=63)
BLOCK_MODELS = [dict(seed=1), dict(seed=7, feature_fraction=0.2)]


class Data:
    """Blocks and pages as arrays."""

    def __init__(self, path):
        rows, labels, words, owner = [], [], [], []
        self.pages = []
        for index, line in enumerate(open(path, encoding="utf-8")):
            page = json.loads(line)
            for block in page["blocks"]:
                rows.append(block["row"])
                labels.append(block["label"])
                words.append(len(block["words"]))
                owner.append(index)
            self.pages.append(page)
        self.rows = numpy.array(rows, numpy.float32)
        self.labels = numpy.array(labels)
        self.words = numpy.array(words, float)
        self.owner = numpy.array(owner)
        self.page_rows = numpy.array([page["row"] for page in self.pages], numpy.float32)
        self.types = numpy.array([TYPES.index(page["page_type"]) for page in self.pages])
        # A block weighs what its words are of the page's text, up to a fifth of it, and never nothing.
        wanted = numpy.array([max(len(page["truth"]), 50) for page in self.pages])
        weights = numpy.minimum(self.words / wanted[self.owner], 0.2)
        self.weights = weights / weights.mean() + 0.05

    def folds(self):
        """Every page in one fold, each kind of page spread evenly."""
        random = numpy.random.RandomState(1)
        fold = numpy.zeros(len(self.pages), int)
        for kind in range(len(TYPES)):
            members = random.permutation(numpy.where(self.types == kind)[0])
            fold[members] = numpy.arange(len(members)) % FOLDS
        return fold


def train_types(data, chosen):
    """Several models that differ by chance only: their mean hangs less on single pages."""
    train = lambda seed: lightgbm.train(dict(TYPE_MODEL, seed=seed), lightgbm.Dataset(data.page_rows[chosen], data.types[chosen]), TYPE_ROUNDS)
    return [train(seed) for seed in range(TYPE_MODELS)]


def predict_types(models, rows):
    raw = sum(model.predict(rows, raw_score=True) for model in models) / len(models)
    odds = numpy.exp(raw - raw.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def train_blocks(rows, data, chosen):
    dataset = lambda: lightgbm.Dataset(rows[chosen], data.labels[chosen], weight=data.weights[chosen])
    return [lightgbm.train(dict(BLOCK_MODEL, **differs), dataset(), BLOCK_ROUNDS) for differs in BLOCK_MODELS]


def predict_blocks(models, rows):
    raw = sum(model.predict(rows, raw_score=True) for model in models) / len(models)
    return 1 / (1 + numpy.exp(-raw))


def unseen_types(data, fold):
    """Each page's odds of its kind by a model that has not seen the page, as it is for the pages of the world."""
    odds = numpy.zeros((len(data.pages), len(TYPES)))
    for held in range(FOLDS):
        odds[fold == held] = predict_types(train_types(data, fold != held), data.page_rows[fold == held])
    return odds


def f1(page, kept):
    wanted = collections.Counter(page["truth"])
    found = collections.Counter(word for block, keep in zip(page["blocks"], kept) if keep for word in block["words"])
    if not wanted or not found:
        return float(not wanted and not found)
    shared = sum((wanted & found).values())
    return 2 * shared / (sum(wanted.values()) + sum(found.values()))


def best_set(odds, words):
    """The engine's choice: see choose.rs."""
    order = numpy.argsort(-odds, kind="stable")
    expected = 2 * numpy.cumsum((odds * words)[order]) / (numpy.cumsum(words[order]) + (odds * words).sum() + 1e-6)
    kept = numpy.zeros(len(odds), bool)
    if len(odds):
        kept[order[: expected.argmax() + 1]] = True
    return kept


def cross_validate(data, rows, fold, folder):
    """Prints the F1 that the model reaches on pages it has not seen, and keeps the models that reached it."""
    odds = numpy.zeros(len(data.labels))
    for held in range(FOLDS):
        chosen = fold[data.owner] != held
        blocks = train_blocks(rows, data, chosen)
        odds[~chosen] = predict_blocks(blocks, rows[~chosen])
        with open("%s/%d.bin" % (folder, held), "wb") as out:
            write_model(out, train_types(data, fold != held), blocks)
    with open("%s/folds.json" % folder, "w") as out:
        json.dump({page["id"]: int(held) for page, held in zip(data.pages, fold)}, out, indent=0, sort_keys=True)
        out.write("\n")
    scores = []
    for index, page in enumerate(data.pages):
        mine = data.owner == index
        scores.append(f1(page, best_set(odds[mine], data.words[mine])))
    scores = numpy.array(scores)
    print("unseen pages: %.4f" % scores.mean(), *("%s %.3f" % (name, scores[data.types == kind].mean()) for kind, name in enumerate(TYPES)))


def write_tree(out, tree, scale):
    """The nodes in order; a leaf is a node that is its own child and has its value in the place of the threshold."""
    nodes = []

    def add(node):
        at = len(nodes)
        if "leaf_value" in node:
            nodes.append((0, at, at, numpy.float32(node["leaf_value"] * scale)))
            return at
        # Not above the double: then `<=` decides for every single-precision number as it did in training.
        threshold = numpy.float32(node["threshold"])
        if threshold > node["threshold"]:
            threshold = numpy.nextafter(threshold, numpy.float32(-numpy.inf))
        nodes.append(None)
        nodes[at] = (node["split_feature"], add(node["left_child"]), add(node["right_child"]), threshold)
        return at

    add(tree["tree_structure"])
    out.write(struct.pack("<B", len(nodes)))
    for feature, left, right, threshold in nodes:
        out.write(struct.pack("<BBBBf", feature, left, right, 0, threshold))


def write_ensemble(out, models, scale):
    trees = [tree for model in models for tree in model.dump_model()["tree_info"]]
    out.write(struct.pack("<I", len(trees)))
    for tree in trees:
        write_tree(out, tree, scale)


def write_model(out, types, blocks):
    """The type models as one ensemble of their mean; the block models one by one, so that a hurried engine reads one."""
    write_ensemble(out, types, 1 / len(types))
    for model in blocks:
        write_ensemble(out, [model], 1)


def main():
    data = Data(sys.argv[1])
    fold = data.folds()
    odds = unseen_types(data, fold)
    print("kind of page right on unseen pages: %.3f" % (odds.argmax(1) == data.types).mean())
    rows = numpy.hstack([data.rows, odds[data.owner]]).astype(numpy.float32)
    if len(sys.argv) > 3:
        cross_validate(data, rows, fold, sys.argv[3])
    everything = numpy.ones(len(data.pages), bool)
    with open(sys.argv[2], "wb") as out:
        write_model(out, train_types(data, everything), train_blocks(rows, data, numpy.ones(len(data.labels), bool)))


main()
