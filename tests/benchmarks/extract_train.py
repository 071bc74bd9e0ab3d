"""Trains the block classifier of `extract` on labelled pages, and scores it without a host in both train and test.

    python tests/benchmarks/extract_train.py [PAGES.parquet] --manuals ROOT [--folds 5] [--out transforms/web/blocks.npz]

Pages: a Parquet file of url, html (bytes), present and absent (lists of fragments). A block that holds a fragment, or lies in
one, has a gold label. All others have a weak one: whether trafilatura keeps their text. Pages of manuals (`extract_manuals`)
are in every fold's training, and in no fold's test. Trees are grown by LightGBM in its deterministic mode and stored as arrays.
Needs `pip install lightgbm trafilatura`.
On 536 pages in five folds, with 454 pages of manuals: F .943 at the shipped threshold of 0.5 (precision .930, recall .957);
trafilatura's own F is .930.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import pyarrow.parquet as pq

from corpusmill.transforms.web.blocks import Blocks, cut
from corpusmill.transforms.web.features import WIDTH, features
from corpusmill.transforms.web.page import parse
from tests.benchmarks.extract_manuals import MANUALS, UNSEEN, Manual, labelled

PAGES = Path(__file__).resolve().parents[3] / "shared/data/pages/pages.parquet"
_GOLD, _WEAK, _MANUAL = 8.0, 0.3, 0.3
_MANY = 150
"""Blocks of a manual's page: those of a longer one share the weight of so many."""
Labelled = tuple[Blocks, np.ndarray, np.ndarray, np.ndarray]
PARAMETERS = {
    "objective": "binary", "num_leaves": 24, "max_depth": 6, "learning_rate": 0.1, "min_data_in_leaf": 40, "feature_fraction": 0.4,
    "bagging_fraction": 0.8,
    "bagging_freq": 1, "lambda_l2": 5.0, "max_bin": 63, "seed": 1, "deterministic": True, "force_row_wise": True,
    "num_threads": 1, "verbosity": -1,
}  # fmt: skip
ROUNDS = 130


def folded(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def host(url: str) -> str:
    return urlsplit(url).netloc or url.partition("-")[0]


def labels(blocks: Blocks, page: dict[str, Any], kept: str) -> tuple[np.ndarray, np.ndarray]:
    """(label float32 [n], weight float32 [n]) of the blocks of a page; `kept` is what trafilatura keeps."""
    texts = [folded(blocks.string(i)) for i in range(len(blocks.values))]
    ends = np.cumsum([len(t) + 1 for t in texts])
    starts = ends - [len(t) + 1 for t in texts]
    joined = " ".join(texts)
    y = np.array([t[:120] in kept for t in texts], np.float32)
    weight = np.array([_WEAK * (0.3 if len(t) < 15 else 1.0) for t in texts], np.float32)
    for value, fragments in ((1.0, page["present"]), (0.0, page["absent"])):
        for fragment in map(folded, fragments):
            places = [m.start() for m in re.finditer(re.escape(fragment), joined)]
            hits = [np.flatnonzero((starts < at + len(fragment)) & (ends - 1 > at)) for at in places]
            if value == 1.0 and len(hits) > 1:  # a teaser may repeat it: the place that trafilatura keeps
                hits = [h for h in hits if y[h].any()] or hits[:1]
            for blocks_hit in hits:
                y[blocks_hit] = value
                weight[blocks_hit] = _GOLD
    return y, weight


def prepared(pages: list[dict[str, Any]]) -> list[Labelled]:
    """(blocks, features, label, weight) of each page."""
    from trafilatura import extract

    out = []
    for page in pages:
        document = parse(page["html"])
        blocks = cut(document.html)
        kept = folded(extract(page["html"], include_comments=False) or "")
        out.append((blocks, features(blocks, document.title), *labels(blocks, page, kept)))
    return out


def manuals(root: Path, which: tuple[Manual, ...] = MANUALS) -> list[Labelled]:
    """The pages of manuals in the form of `prepared`; blocks whose label is not sure weigh nothing."""
    out = []
    for manual in which:
        for blocks, title, y, sure in labelled(manual, root):
            weight = np.where(sure, _MANUAL * min(1.0, _MANY / len(y)), 0).astype(np.float32)
            out.append((blocks, features(blocks, title), y, weight))
    return out


def grow(data: list[Labelled]) -> Any:
    import lightgbm

    x, y, weight = (np.concatenate([d[i] for d in data]) for i in (1, 2, 3))
    used = weight > 0
    return lightgbm.train(PARAMETERS, lightgbm.Dataset(x[used], y[used], weight=weight[used]), ROUNDS)


def save(model: Any, path: Path) -> None:
    """The trees as the arrays that `corpusmill.transforms.web.model` reads."""
    parts: dict[str, list[Any]] = {name: [] for name in ("features", "thresholds", "children", "leaves")}
    roots, leaf_roots = [], []

    def walk(node: dict[str, Any]) -> int:
        """Append the node's subtree; its number within the tree."""
        if "leaf_value" in node and "split_index" not in node:
            parts["leaves"].append(node["leaf_value"])
            return leaf_roots[-1] - len(parts["leaves"])
        at = len(parts["features"])
        parts["features"].append(node["split_feature"])
        parts["thresholds"].append(node["threshold"])
        parts["children"].append([0, 0])
        parts["children"][at] = [walk(node["left_child"]), walk(node["right_child"])]
        return at - roots[-1]

    for tree in model.dump_model()["tree_info"]:
        roots.append(len(parts["features"]))
        leaf_roots.append(len(parts["leaves"]))
        walk(tree["tree_structure"])
    np.savez_compressed(
        path, width=np.int64(WIDTH), roots=np.array(roots, np.int32), leaf_roots=np.array(leaf_roots, np.int32),
        features=np.array(parts["features"], np.int16), thresholds=np.array(parts["thresholds"], np.float32),
        children=np.array(parts["children"], np.int16), leaves=np.array(parts["leaves"], np.float32),
    )  # fmt: skip


def score(
    data: list[Any], pages: list[dict[str, Any]], probabilities: list[np.ndarray], threshold: float
) -> tuple[float, float, float]:
    """(precision, recall, F) as tools/score_pages.py counts them."""
    hits = total = wrong = 0
    for (blocks, *_), page, p in zip(data, pages, probabilities, strict=True):
        text = folded(" ".join(blocks.string(i) for i in np.flatnonzero(p > threshold)))
        hits += sum(folded(f) in text for f in page["present"])
        total += len(page["present"])
        wrong += sum(folded(f) in text for f in page["absent"])
    precision, recall = hits / max(1, hits + wrong), hits / total
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def fold_of(url: str, folds: int) -> int:
    return int.from_bytes(hashlib.sha256(host(url).encode()).digest()[:4], "big") % folds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="?", type=Path, default=PAGES)
    parser.add_argument("--manuals", type=Path, help="where packages of manuals are unpacked (default: no manuals)")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="where to store trees of all pages")
    options = parser.parse_args()
    pages = sorted(pq.read_table(options.pages).to_pylist(), key=lambda p: p["url"])
    data = prepared(pages)
    count, gold = sum(len(d[2]) for d in data), sum(int((d[3] == _GOLD).sum()) for d in data)
    print(f"{len(pages)} pages, {count:,} blocks, {gold:,} of them gold")
    more = manuals(options.manuals) if options.manuals else []
    print(f"{len(more)} pages of manuals, {sum(len(d[2]) for d in more):,} blocks")
    folds = np.array([fold_of(p["url"], options.folds) for p in pages])
    probabilities: list[Any] = [None] * len(pages)
    for fold in range(options.folds if options.folds > 1 else 0):
        model = grow([d for d, f in zip(data, folds, strict=True) if f != fold] + more)
        for i in np.flatnonzero(folds == fold):
            probabilities[i] = model.predict(data[i][1]) if len(data[i][1]) else np.zeros(0)
    if options.folds > 1:
        for threshold in (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65):
            precision, recall, f = score(data, pages, probabilities, threshold)
            print(f"threshold {threshold:.2f}: precision {precision:.4f}, recall {recall:.4f}, F {f:.4f}", flush=True)
    if options.out:
        model = grow(data + more)
        save(model, options.out)
        for manual in UNSEEN if options.manuals else ():
            found = manuals(options.manuals, (manual,))
            y, weight = (np.concatenate([d[i] for d in found]) for i in (2, 3))
            keep = model.predict(np.concatenate([d[1] for d in found])) > 0.5
            gold, sure = y > 0, weight > 0
            hits = (keep & gold & sure).sum()
            precision, recall = hits / (keep & sure).sum(), hits / (gold & sure).sum()
            print(f"{manual.package}: {len(found)} pages, blocks: precision {precision:.3f}, recall {recall:.3f}")


if __name__ == "__main__":
    main()
