"""Which documents, and which sentences, mention which groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.normal_forms import normalize
from corpusmill.transforms.people.lexicon import QUOTED, Lexicon, pattern

_SENTENCE = r"[.!?]+\s+|[。！？\n]+"
_MARKS = r"[\"“”„«»「」『』]"


def flags(texts: pa.Array, languages: Sequence[str | None], lexicons: Sequence[Lexicon]) -> dict[str, np.ndarray]:
    """`axis.group` -> bool [n]: documents that mention the group, by the lexicon of their language.

    A document whose language is not known, or has no lexicon, is looked up in all of them.

    Args:
        texts: strings; null mentions nobody.
        languages: of each text, or None.
        lexicons: one a language.
    """
    lowered = pc.utf8_lower(normalize(texts.cast(pa.string()).fill_null(""), "NFC"))
    known = {lexicon.language for lexicon in lexicons}
    codes = np.array([c if c in known else "" for c in languages], dtype=object)
    found: dict[str, np.ndarray] = {}
    for lexicon in lexicons:
        mine = np.flatnonzero((codes == lexicon.language) | (codes == ""))
        part = lowered.take(pa.array(mine))
        for group, terms in lexicon.groups().items():
            hit = pc.match_substring_regex(part, pattern(terms)).to_numpy(zero_copy_only=False)
            mask = found.setdefault(group, np.zeros(len(texts), np.bool_))
            mask[mine] |= hit.astype(np.bool_)
    return found


def languages_of(batch: pa.RecordBatch) -> list[str | None]:
    """The language of each row, None where it is not known."""
    if "lang" not in batch.schema.names:
        return [None] * batch.num_rows
    found: list[str | None] = batch.column("lang").cast(pa.string()).to_pylist()
    return found


@dataclass
class Counts:
    """Counts of documents and sentences, which add up over batches.

    documents, sentences: how many there were; mentioned: documents of each group; named: sentences of each group; together:
    sentences of (group, target).
    """

    documents: int = 0
    sentences: int = 0
    mentioned: dict[str, int] = field(default_factory=dict)
    named: dict[str, int] = field(default_factory=dict)
    together: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, texts: pa.Array, languages: Sequence[str | None], lexicons: Sequence[Lexicon]) -> None:
        """Count a batch of documents."""
        self.documents += len(texts)
        for group, mask in flags(texts, languages, lexicons).items():
            self.mentioned[group] = self.mentioned.get(group, 0) + int(mask.sum())
        pieces = pc.split_pattern_regex(texts.cast(pa.string()).fill_null(""), _SENTENCE)
        of = pc.list_parent_indices(pieces).to_numpy()
        sentences = pc.list_flatten(pieces)
        filled = pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(sentences)), 0)
        sentences, of = sentences.filter(filled), of[filled.to_numpy(zero_copy_only=False)]
        self.sentences += len(sentences)
        spoken = [languages[i] for i in of.tolist()]
        groups = flags(sentences, spoken, lexicons)
        anybody = np.zeros(len(sentences), np.bool_)
        for mask in groups.values():
            anybody |= mask
        few = np.flatnonzero(anybody)  # targets are looked for only beside people
        beside = _targets(sentences.take(pa.array(few)), [spoken[i] for i in few.tolist()], lexicons)
        for group, mask in groups.items():
            self.named[group] = self.named.get(group, 0) + int(mask.sum())
            for target, hit in beside.items():
                key = (group, target)
                self.together[key] = self.together.get(key, 0) + int((mask[few] & hit).sum())


def _targets(
    sentences: pa.Array, languages: Sequence[str | None], lexicons: Sequence[Lexicon]
) -> dict[str, np.ndarray]:
    """target -> bool [n]."""
    as_groups = [
        Lexicon(
            language=x.language,
            source=x.source,
            axes={"target": x.targets | ({QUOTED: x.quoted} if x.quoted else {})},
            quoted=(),
        )
        for x in lexicons
        if x.targets or x.quoted
    ]
    found = {k.partition(".")[2]: v for k, v in flags(sentences, languages, as_groups).items()}
    if QUOTED in found:
        found[QUOTED] &= pc.match_substring_regex(sentences, _MARKS).to_numpy(zero_copy_only=False).astype(np.bool_)
    return found
