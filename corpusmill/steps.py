"""Every step by name: `from corpusmill.steps import Clean, Minhash`. Each class is imported when it is first asked for.

A step is a frozen model whose fields are those of a recipe. It is called on data in memory and gives back the same kind:

    >>> from corpusmill.steps import Clean, Exact
    >>> Exact()(Clean()(["one  text ", "one text", "another text"]))
    ['one text', 'another text']
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corpusmill.transforms.clean.clean import Clean
    from corpusmill.transforms.clean.text_map import TextMap
    from corpusmill.transforms.decontaminate.decontaminate import Decontaminate
    from corpusmill.transforms.dedup.exact import Exact
    from corpusmill.transforms.dedup.lines import Lines
    from corpusmill.transforms.dedup.minhash import Minhash
    from corpusmill.transforms.dedup.paragraphs import Paragraphs
    from corpusmill.transforms.dedup.substring import Substring
    from corpusmill.transforms.filters.c4_code import C4Code
    from corpusmill.transforms.filters.c4_paper import C4Paper
    from corpusmill.transforms.filters.filter import UserFilter
    from corpusmill.transforms.filters.fineweb import Fineweb
    from corpusmill.transforms.filters.gopher_quality import GopherQuality
    from corpusmill.transforms.filters.gopher_repetition import GopherRepetition
    from corpusmill.transforms.filters.kept_elsewhere import KeptElsewhere
    from corpusmill.transforms.filters.language import Language
    from corpusmill.transforms.filters.length import Length
    from corpusmill.transforms.filters.refinedweb_lines import RefinedwebLines
    from corpusmill.transforms.filters.sample import Sample
    from corpusmill.transforms.filters.text_filter import TextFilter
    from corpusmill.transforms.filters.where import Where
    from corpusmill.transforms.generate.accepted import Accepted
    from corpusmill.transforms.generate.class_balance import ClassBalance
    from corpusmill.transforms.generate.distill import Distill
    from corpusmill.transforms.generate.generate import Generate
    from corpusmill.transforms.generate.pseudo_label import PseudoLabel
    from corpusmill.transforms.generate.synthetic_cap import SyntheticCap
    from corpusmill.transforms.mix.mix import Mix
    from corpusmill.transforms.noise.aeda import Aeda
    from corpusmill.transforms.noise.characters import Characters
    from corpusmill.transforms.noise.denoise import Denoise
    from corpusmill.transforms.noise.eda import Eda
    from corpusmill.transforms.noise.noise import Noise
    from corpusmill.transforms.noise.sentences import Sentences
    from corpusmill.transforms.noise.synonyms import Synonyms
    from corpusmill.transforms.redact.redact import Redact
    from corpusmill.transforms.tokens.pack import Pack
    from corpusmill.transforms.tokens.tokenize import Tokenize
    from corpusmill.transforms.units.bound_units import BoundUnits
    from corpusmill.transforms.units.unit import Unit

__all__ = [
    "Accepted",
    "Aeda",
    "BoundUnits",
    "C4Code",
    "C4Paper",
    "Characters",
    "ClassBalance",
    "Clean",
    "Decontaminate",
    "Denoise",
    "Distill",
    "Eda",
    "Exact",
    "Fineweb",
    "Generate",
    "GopherQuality",
    "GopherRepetition",
    "KeptElsewhere",
    "Language",
    "Length",
    "Lines",
    "Minhash",
    "Mix",
    "Noise",
    "Pack",
    "Paragraphs",
    "PseudoLabel",
    "Redact",
    "RefinedwebLines",
    "Sample",
    "Sentences",
    "Substring",
    "Synonyms",
    "SyntheticCap",
    "TextFilter",
    "TextMap",
    "Tokenize",
    "Unit",
    "UserFilter",
    "Where",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        from corpusmill.transforms.settings.spelling import nearest

        raise AttributeError(f"corpusmill has no step {name!r}; {nearest(name, __all__)}".rstrip("; "))
    from corpusmill.pipelines.recipe.registry import load, names

    keys = {"".join(word.capitalize() for word in key.split("-")): key for key in names()} | {"UserFilter": "filter"}
    return load(keys[name])


def __dir__() -> list[str]:
    return __all__
