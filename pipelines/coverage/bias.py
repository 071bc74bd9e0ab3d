"""How a corpus speaks of people: `corpusmill bias`.

Of each group of the lexicons: the documents that mention it, with an interval; the occupations and judgements in the same
sentence, beside those of the other groups of its axis or of a reference; and whether a filter of the recipe drops its documents
more often than others. Documents of private sources are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from corpusmill.pipelines.coverage.disparity import Dropped, disparities
from corpusmill.pipelines.coverage.sample import batches, part_of
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.transforms.embed.sampling import chance, drawn
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.manifest import Manifest
from corpusmill.transforms.people.disparity import Disparity
from corpusmill.transforms.people.lexicon import Lexicon
from corpusmill.transforms.people.mentions import Counts, languages_of
from corpusmill.transforms.people.rates import LEVEL, fisher, holm, wilson

LIMITS = (
    "A lexicon finds words, not people: it misses who is meant without being named, and finds words that mean something else.",
    "A rate that differs is evidence of how texts speak, and no verdict; which rate is right is not in the data.",
    "Two words in one sentence need not be about each other: negation, quotation and irony are not seen.",
    "What a filter drops more often may be dropped for something that goes with the group, such as length or source.",
    "Groups, languages and dialects without a lexicon are not looked at; the built-in lexicons are small.",
)
"""What the figures cannot show, said wherever they are shown."""


@dataclass(frozen=True)
class Rate:
    """A rate with its 95 % interval: hits of n."""

    hits: int
    n: int
    low: float
    high: float

    @classmethod
    def of(cls, hits: int, n: int) -> Rate:
        return cls(hits, n, *wilson(hits, n))

    @property
    def value(self) -> float:
        return self.hits / self.n if self.n else 0.0


@dataclass(frozen=True)
class Mention:
    """How many documents mention a group; in the reference, too, and p (Fisher, Holm over all groups) that both have one rate."""

    group: str
    here: Rate
    there: Rate | None
    p: float | None


@dataclass(frozen=True)
class Beside:
    """How many sentences that mention a group hold a word of a target; of the reference, or else of the other groups of the axis; p
    (Fisher, Holm over all pairs) that both have one rate."""

    group: str
    target: str
    here: Rate
    others: Rate
    p: float


@dataclass(frozen=True)
class Bias:
    """All that `corpusmill bias` shows."""

    path: str
    number: int
    documents: int
    hidden: int
    reference: str | None
    lexicons: list[tuple[str, str]]
    mentions: list[Mention]
    beside: list[Beside]
    dropped: Dropped
    disparities: list[Disparity]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self) | {"level": LEVEL, "limits": list(LIMITS)}


def measure(
    dataset: Dataset,
    number: int | None,
    against: Dataset | None,
    lexicons: Sequence[Lexicon],
    sample: int,
    filters: bool = True,
    most: int | None = None,
) -> Bias:
    """The figures of a snapshot.

    Args:
        dataset: to look at.
        number: of the snapshot; None for the newest.
        against: a dataset whose rates are the reference.
        lexicons: one a language.
        sample: documents that are looked at, drawn by ids.
        filters: whether the sources are read again for what each filter dropped.
        most: bytes of text of the shards that are read, evenly spread ones; None for all.

    Raises:
        DatasetError: there is no document that may be shown.
    """
    manifest = dataset.manifest(number)
    here, hidden = _counts(dataset, part_of(manifest, most), lexicons, sample)
    there = _counts(against, against.manifest(), lexicons, sample)[0] if against else None
    groups = [g for lexicon in lexicons for g in lexicon.groups()]
    groups = list(dict.fromkeys(groups))
    dropped, disparate = Dropped(0, 0), list[Disparity]()
    if filters:
        dropped, disparate = disparities(dataset, manifest, lexicons, sample)
    return Bias(
        dataset.path,
        manifest["number"],
        here.documents,
        hidden,
        against.path if against else None,
        [(lexicon.language, lexicon.source) for lexicon in lexicons],
        _mentions(groups, here, there),
        _beside(groups, here, there),
        dropped,
        disparate,
    )


def _counts(dataset: Dataset, manifest: Manifest, lexicons: Sequence[Lexicon], sample: int) -> tuple[Counts, int]:
    """(counts over a sample of a snapshot, documents of private sources that are left out)."""
    shown = sum(batch.num_rows for batch in batches(dataset, manifest, ()))
    if not shown:
        raise DatasetError(
            f"{dataset.path}: there is no document that may be shown; `corpusmill show` says what there is"
        )
    bound = chance(shown, sample)
    counts = Counts()
    for batch in batches(dataset, manifest, ("text", "lang")):
        chosen = batch.filter(pa.array(drawn(batch.column("id"), bound)))
        if chosen.num_rows:
            counts.add(chosen.column("text"), languages_of(chosen), lexicons)
    return counts, manifest["documents"] - shown


def _mentions(groups: list[str], here: Counts, there: Counts | None) -> list[Mention]:
    found = []
    for group in groups:
        mine = Rate.of(here.mentioned.get(group, 0), here.documents)
        theirs = Rate.of(there.mentioned.get(group, 0), there.documents) if there else None
        found.append((group, mine, theirs))
    values = holm([_differ(mine, theirs) for _, mine, theirs in found if theirs is not None])
    adjusted = iter(values)
    return [Mention(g, mine, theirs, None if theirs is None else next(adjusted)) for g, mine, theirs in found]


def _differ(a: Rate, b: Rate) -> float:
    return fisher(a.hits, a.n - a.hits, b.hits, b.n - b.hits)


def _beside(groups: list[str], here: Counts, there: Counts | None) -> list[Beside]:
    targets = list(dict.fromkeys(target for _, target in here.together))
    found = []
    for group in groups:
        n = here.named.get(group, 0)
        axis = group.partition(".")[0]
        rest = [g for g in groups if g.startswith(axis + ".") and g != group]
        if not n or (there is None and not rest):
            continue
        for target in targets:
            mine = Rate.of(here.together.get((group, target), 0), n)
            if there is not None:
                other = Rate.of(there.together.get((group, target), 0), there.named.get(group, 0))
            else:
                hits = sum(here.together.get((g, target), 0) for g in rest)
                other = Rate.of(hits, sum(here.named.get(g, 0) for g in rest))
            found.append((group, target, mine, other))
    values = holm([_differ(mine, other) for _, _, mine, other in found])
    return [Beside(*row, p) for row, p in zip(found, values, strict=True)]
