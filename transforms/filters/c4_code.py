"""The line and page rules of C4, as its code has them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from corpusmill.transforms.filters.c4_lines import C4Lines


class C4Code(C4Lines):
    """Cut lines that are no sentences, and drop documents with little left, code or placeholder text.

    TensorFlow Datasets, `tensorflow_datasets/text/c4_utils.py`, function `clean_page`; the table in
    `corpusmill.transforms.filters.c4_lines` says where it differs from the paper. Sentences are counted by terminal marks
    instead of NLTK's Punkt model, which needs data. Kept lines are joined by line feeds. With `adapt`, the terminal marks of all
    scripts end a line, Thai and Lao end any line, and characters of scripts without spaces are words.

    >>> import pyarrow as pa
    >>> text = "Menu\\nThe first line says a lot.[1]\\nThe second one says even more.\\nAnd so does the third one.\\n"
    >>> C4Code()(pa.record_batch({"id": ["a"], "text": [text]})).column("text")[0].as_py()
    'The first line says a lot.\\nThe second one says even more.\\nAnd so does the third one.'
    """

    name: ClassVar[str] = "c4-code"
    version: ClassVar[int] = 1
    as_code: ClassVar[bool] = True

    max_word_length: int = Field(1000, ge=1, description="lines with a longer word, in characters, are cut")

    @property
    def longest_word(self) -> int:
        return self.max_word_length
