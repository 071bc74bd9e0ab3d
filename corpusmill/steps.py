"""Every step by name: `from corpusmill.steps import Clean, Minhash`. Each class is imported when it is first asked for.

A step is a frozen model whose fields are those of a recipe. It is called on data in memory and gives back the same kind:

    >>> from corpusmill.steps import Clean, Exact
    >>> Exact()(Clean()(["one  text ", "one text", "another text"]))
    ['one text', 'another text']
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corpusmill.transforms.clean.clean import Clean as Clean
    from corpusmill.transforms.clean.text_map import TextMap as TextMap
    from corpusmill.transforms.decontaminate.decontaminate import Decontaminate as Decontaminate
    from corpusmill.transforms.dedup.exact import Exact as Exact
    from corpusmill.transforms.dedup.lines import Lines as Lines
    from corpusmill.transforms.dedup.minhash import Minhash as Minhash
    from corpusmill.transforms.dedup.paragraphs import Paragraphs as Paragraphs
    from corpusmill.transforms.dedup.substring import Substring as Substring
    from corpusmill.transforms.embed.balance import Balance as Balance
    from corpusmill.transforms.embed.cluster import Cluster as Cluster
    from corpusmill.transforms.embed.embed import Embed as Embed
    from corpusmill.transforms.embed.semantic import Semantic as Semantic
    from corpusmill.transforms.filters.c4_code import C4Code as C4Code
    from corpusmill.transforms.filters.c4_paper import C4Paper as C4Paper
    from corpusmill.transforms.filters.filter import UserFilter as UserFilter
    from corpusmill.transforms.filters.fineweb import Fineweb as Fineweb
    from corpusmill.transforms.filters.gopher_quality import GopherQuality as GopherQuality
    from corpusmill.transforms.filters.gopher_repetition import GopherRepetition as GopherRepetition
    from corpusmill.transforms.filters.kept_elsewhere import KeptElsewhere as KeptElsewhere
    from corpusmill.transforms.filters.language import Language as Language
    from corpusmill.transforms.filters.length import Length as Length
    from corpusmill.transforms.filters.refinedweb_lines import RefinedwebLines as RefinedwebLines
    from corpusmill.transforms.filters.sample import Sample as Sample
    from corpusmill.transforms.filters.text_filter import TextFilter as TextFilter
    from corpusmill.transforms.filters.toxicity import Toxicity as Toxicity
    from corpusmill.transforms.filters.where import Where as Where
    from corpusmill.transforms.generate.accepted import Accepted as Accepted
    from corpusmill.transforms.generate.annotate import Annotate as Annotate
    from corpusmill.transforms.generate.class_balance import ClassBalance as ClassBalance
    from corpusmill.transforms.generate.distill import Distill as Distill
    from corpusmill.transforms.generate.generate import Generate as Generate
    from corpusmill.transforms.generate.pseudo_label import PseudoLabel as PseudoLabel
    from corpusmill.transforms.generate.synthetic_cap import SyntheticCap as SyntheticCap
    from corpusmill.transforms.mix.mix import Mix as Mix
    from corpusmill.transforms.mix.split import Split as Split
    from corpusmill.transforms.mix.upsample import Upsample as Upsample
    from corpusmill.transforms.ngrams.perplexity import Perplexity as Perplexity
    from corpusmill.transforms.ngrams.reweight import Reweight as Reweight
    from corpusmill.transforms.noise.aeda import Aeda as Aeda
    from corpusmill.transforms.noise.characters import Characters as Characters
    from corpusmill.transforms.noise.denoise import Denoise as Denoise
    from corpusmill.transforms.noise.eda import Eda as Eda
    from corpusmill.transforms.noise.noise import Noise as Noise
    from corpusmill.transforms.noise.sentences import Sentences as Sentences
    from corpusmill.transforms.noise.synonyms import Synonyms as Synonyms
    from corpusmill.transforms.redact.redact import Redact as Redact
    from corpusmill.transforms.rights.rights import Rights as Rights
    from corpusmill.transforms.select.quality import Quality as Quality
    from corpusmill.transforms.select.select import Select as Select
    from corpusmill.transforms.select.top import Top as Top
    from corpusmill.transforms.tokens.pack import Pack as Pack
    from corpusmill.transforms.tokens.tokenize import Tokenize as Tokenize
    from corpusmill.transforms.units.bound_units import BoundUnits as BoundUnits
    from corpusmill.transforms.units.unit import Unit as Unit
    from corpusmill.transforms.web.extract import Extract as Extract
    from corpusmill.transforms.web.site_boilerplate import SiteBoilerplate as SiteBoilerplate
    from corpusmill.transforms.web.url_duplicates import UrlDuplicates as UrlDuplicates
    from corpusmill.transforms.web.urls import Urls as Urls


def _keys() -> dict[str, str]:
    """Class name of each step -> its name in a recipe."""
    from corpusmill.pipelines.recipe.registry import names

    keys = {"".join(word.capitalize() for word in key.split("-")): key for key in names()}
    keys["UserFilter"] = keys.pop("Filter")
    return keys


def __getattr__(name: str) -> Any:
    keys = {} if name.startswith("__") else _keys()
    if name not in keys:
        from corpusmill.transforms.settings.spelling import nearest

        raise AttributeError(f"corpusmill has no step {name!r}; {nearest(name, keys)}".rstrip("; "))
    from corpusmill.pipelines.recipe.registry import load

    return load(keys[name])


def __dir__() -> list[str]:
    return sorted(_keys())
