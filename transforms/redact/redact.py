"""The step `redact`."""

from __future__ import annotations

import hashlib
import os
from typing import ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Map, Stability
from corpusmill.transforms.errors import SourceError
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.redact.detect import ALL_TYPES, TYPES, Found, find
from corpusmill.transforms.redact.keys import pseudonym, read_key
from corpusmill.transforms.redact.names import detect_names
from corpusmill.transforms.redact.splice import splice


class Redact(Map):
    """Replaces e-mail addresses, phone numbers, IP addresses, cards, IBANs and national ids by tags or pseudonyms.

    Sources: RFC 5322 and 5321 (addresses, the common part), E.164 (phone), ISO/IEC 7812-1 (cards, Luhn), ISO 13616 with
    ISO 7064 MOD 97-10 (IBAN), and the issuers' rules for identity numbers: United States, United Kingdom, China, Korea,
    Brazil, Spain, France, India. A tag is `<EMAIL>`; a pseudonym `<EMAIL_0f3a...>` holds 16 hexadecimal digits of
    HMAC-SHA256(key, type NUL canonical value), so that one value has one pseudonym in all documents and formats, and nobody
    without the key can tell or try which. The key comes from an environment variable or a file, never from the recipe; the
    fingerprint has a hash of it. Values are found by pattern and checksum, names (`names: true`) by Presidio.
    Raises RecipeError without a key, MissingDependencyError without Presidio, SourceError for a column that is not there.

    >>> batch = pa.record_batch({"id": ["a"], "text": ["Write to ann@example.org (192.0.2.7)."], "source": ["s"]})
    >>> Redact()(batch).column("text")[0].as_py()
    'Write to <EMAIL> (<IP>).'
    """

    name: ClassVar[str] = "redact"
    version: ClassVar[int] = 5
    stability: ClassVar[Stability] = "record"

    types: tuple[str, ...] = Field(TYPES, description=f"What to replace, of {', '.join(TYPES)}.")
    replace_by: Literal["tag", "pseudonym"] = Field(
        "tag", description="`<EMAIL>`, or a pseudonym that is the same everywhere."
    )
    columns: tuple[str, ...] = Field(("text",), description="Text columns to redact.")
    key_variable: str = Field("CORPUSMILL_REDACT_KEY", description="Environment variable with the key of pseudonyms.")
    key_file: str | None = Field(None, description="File with the key of pseudonyms, instead of the variable.")
    names: bool = Field(False, description="Replace names of persons too, found by Presidio (slow).")
    language: str = Field("en", description="Presidio's language.")
    min_score: float = Field(0.5, ge=0, le=1, description="Names with a lower score are left (Presidio's score).")
    count: bool = Field(
        False, description="Add a column `redacted` with the number of values replaced in each document."
    )

    @field_validator("types")
    @classmethod
    def _known(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [t for t in types if t not in TYPES]
        if unknown:
            raise ValueError(f"unknown type {', '.join(unknown)}: choose of {', '.join(TYPES)}")
        return types

    def libraries(self) -> tuple[str, ...]:
        """Unicode's tables; phonenumbers and presidio, as far as the fields ask for them."""
        return ("unicode", *["phonenumbers"] * ("phone" in self.types), *["presidio-analyzer"] * self.names)

    def fingerprint(self) -> str:
        """The fingerprint of every step, with a hash of the key, which changes results."""
        plain = self.model_copy(update={"key_file": None})
        digest = super(Redact, plain).fingerprint()
        if self.replace_by == "tag":
            return digest
        key = read_key(self.key_variable, self.key_file)
        return hashlib.sha256(f"{digest}\0{pseudonym(key, 'fingerprint', digest)}".encode()).hexdigest()[:32]

    def resolved(self, folder: str) -> Self:
        """A copy whose `key_file` is resolved against `folder`. `files` leaves it out, so that nothing else reads the key."""
        if self.key_file is None:
            return self
        return self.model_copy(update={"key_file": os.path.join(folder, os.path.expanduser(self.key_file))})

    def map(self, batch: pa.RecordBatch, rng: Keyed) -> pa.RecordBatch:
        key = read_key(self.key_variable, self.key_file) if self.replace_by == "pseudonym" else b""
        counts = np.zeros(batch.num_rows, np.int32)
        for column in self.columns:
            if column not in batch.schema.names:
                raise SourceError(
                    f"redact: no column {column!r} among {', '.join(batch.schema.names)}. Correct `columns`."
                )
            texts = batch.column(column)
            persons = detect_names(texts, self.language, self.min_score) if self.names else []
            found = find(texts, self.types, persons)
            if len(found.spans):
                batch = set_column(batch, column, splice(texts, found.spans, self._stand_ins(key, found)))
                counts += np.bincount(found.spans[:, 0], minlength=batch.num_rows).astype(np.int32)
        return set_column(batch, "redacted", pa.array(counts)) if self.count else batch

    def _stand_ins(self, key: bytes, found: Found) -> pa.Array:
        """What stands for each value; a pseudonym is made once for each distinct value."""
        names = [t.upper() for t in ALL_TYPES]
        if not key:
            return pa.array([f"<{name}>" for name in names]).take(pa.array(found.types))
        values, out = found.values(), np.empty(len(found.types), object)
        for rank in np.unique(found.types).tolist():
            of_type = np.flatnonzero(found.types == rank)
            distinct = values.take(pa.array(of_type)).dictionary_encode()
            made = [f"<{names[rank]}_{pseudonym(key, ALL_TYPES[rank], v)}>" for v in distinct.dictionary.to_pylist()]
            out[of_type] = np.array(made, object)[distinct.indices.to_numpy()]
        return pa.array(out, pa.string())
