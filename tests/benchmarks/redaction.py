"""Recall, precision and speed of `redact` on the labelled set, beside Presidio's recognisers.

    python tests/benchmarks/redaction.py [--part held_out]

Presidio runs its own recognisers on a blank spaCy pipeline, without a model, in English and for each country that
`redact` knows identity numbers of; its answers of at least score 0.5 count. It is left out where it is not installed
(`pip install presidio-analyzer`). A value counts as found if the span is exact, and as covered if the span overlaps it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pyarrow as pa

from corpusmill.transforms.redact.detect import TYPES, detect
from tests.transforms.redact.fixture import Labelled
from tests.transforms.redact.labelled import labelled

Span = tuple[str, int, int]
_PRESIDIO = {
    "EMAIL_ADDRESS": "email", "IBAN_CODE": "iban", "CREDIT_CARD": "card", "IP_ADDRESS": "ip", "PHONE_NUMBER": "phone",
    "US_SSN": "national_id",
    "UK_NINO": "national_id", "ES_NIF": "national_id", "ES_NIE": "national_id", "IN_AADHAAR": "national_id",
    "KR_RRN": "national_id",
}  # fmt: skip
_REGIONS = "US GB DE FR ES IT RU CN JP KR IN BR MX PT PL NL TR EG SA AE AT CH BE AU IE AR CO".split()


def ours(texts: list[str]) -> list[list[Span]]:
    array = pa.array(texts)
    data = array.buffers()[2].to_pybytes()
    begins = array.buffers()[1]
    offsets = memoryview(begins).cast("i")
    out: list[list[Span]] = [[] for _ in texts]
    for m in detect(array):
        begin = len(data[offsets[m.row] : m.start].decode())
        out[m.row].append((m.type, begin, begin + len(data[m.start : m.stop].decode())))
    return out


def presidio() -> Callable[[list[str]], list[list[Span]]]:
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer import predefined_recognizers as known
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    class Blank(SpacyNlpEngine):
        """A pipeline of a tokeniser alone."""

        def __init__(self) -> None:
            super().__init__()
            self.nlp = {"en": spacy.blank("en")}

    registry = RecognizerRegistry(supported_languages=["en"])
    for name in ("Email", "Iban", "CreditCard", "Ip", "UsSsn", "UkNino", "EsNif", "EsNie", "InAadhaar", "KrRrn"):
        recognizer = getattr(known, f"{name}Recognizer", None)
        if recognizer is not None:
            registry.add_recognizer(recognizer(supported_language="en"))
    registry.add_recognizer(known.PhoneRecognizer(supported_regions=_REGIONS))
    engine = AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=["en"])

    def find(texts: list[str]) -> list[list[Span]]:
        return [
            [
                (_PRESIDIO[r.entity_type], r.start, r.end)
                for r in engine.analyze(text=t, language="en", score_threshold=0.4)
                if r.entity_type in _PRESIDIO
            ]
            for t in texts
        ]

    return find


def places(document: Labelled) -> list[Span]:
    """The values of a document as spans, in order of their labels."""
    out: list[Span] = []
    at = 0
    for kind, value in document.values:
        begin = document.text.index(value, at)
        at = begin + len(value)
        out.append((kind, begin, at))
    return out


def report(name: str, documents: list[Labelled], find: Callable[[list[str]], list[list[Span]]]) -> None:
    texts = [d.text for d in documents]
    find(texts[:5])
    begin = time.process_time()
    answers = find(texts)
    seconds = time.process_time() - begin
    count: dict[str, Counter[str]] = {key: Counter() for key in ("labels", "hits", "exact", "covered", "right")}
    for document, spans in zip(documents, answers, strict=True):
        labels = places(document)
        for kind, a, b in labels:
            count["labels"][kind] += 1
            count["exact"][kind] += (kind, a, b) in spans
            count["covered"][kind] += any(k == kind and x < b and y > a for k, x, y in spans)
        for kind, x, y in set(spans):
            count["hits"][kind] += 1
            count["right"][kind] += any(k == kind and x < b and y > a for k, a, b in labels)
    size = sum(len(t.encode()) for t in texts) / 1e6
    print(f"{name}: {size / seconds:.2f} MB per CPU s on {size:.2f} MB dense with values")
    for kind in TYPES:
        n, hits = count["labels"][kind], max(1, count["hits"][kind])
        print(
            f"  {kind:12} recall {count['exact'][kind] / n:.3f} exact, {count['covered'][kind] / n:.3f} covered; "
            f"precision {count['right'][kind] / hits:.3f}",
            flush=True,
        )


def report_peer(documents: list[Labelled]) -> None:
    """Presidio's figures, where it is installed."""
    try:
        find: Any = presidio()
    except ImportError as error:
        print(f"presidio: left out ({error})")
        return
    report("presidio", documents, find)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("tuning", "held_out"), default="held_out")
    documents = labelled(parser.parse_args().part)
    report("corpusmill", documents, ours)
    report_peer(documents)


if __name__ == "__main__":
    main()
