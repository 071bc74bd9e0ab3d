"""What private text is behind a snapshot: its private sources, and the guarantees of the models that wrote in it.

Text that a privately trained model writes to public prompts has the model's guarantee (Yue et al. 2023, "Synthetic text
generation with differential privacy"); a file of text that private votes chose has its own (FILE.guarantee).
A manifest carries it, the dataset's card says it, and datasets made of it inherit it.
"""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.recipe.certify import Certification, dataset_of
from corpusmill.pipelines.recipe.judge import judge_model
from corpusmill.pipelines.recipe.model import Recipe
from corpusmill.privacy.certification import manifest_of, private_sources
from corpusmill.privacy.guarantee import Guarantee, each, paragraph
from corpusmill.privacy.private_files import expanded
from corpusmill.privacy.synthetic import note
from corpusmill.transforms.generate.step import models_of


def released(recipe: Recipe) -> dict[str, Any]:
    """`sources`: private ones; `guarantees`: of models behind steps; `unguarded`: models that saw private text without one.

    An empty dict if there is no private text behind the recipe.
    """
    sources = [s.name for s in recipe.sources if s.private]
    guarantees: dict[str, dict[str, Any]] = {}
    unguarded: list[str] = []
    for step in recipe.bound_steps():
        for _, spec in models_of(step.transform):
            certification = Certification("document")
            for state in judge_model(spec, f"step {step.name}", certification):
                for one in each(Guarantee.model_validate(state)):
                    guarantees[one.model_dump_json()] = one.model_dump(mode="json")
            unguarded += [refusal.what for refusal in certification.refusals]
    for source in recipe.sources:
        for path in source.paths:
            for file in expanded(str(recipe.resolve(path))) if "://" not in path else []:
                guarantee, why = note.read(file)
                if guarantee is not None:
                    guarantees |= {one.model_dump_json(): one.model_dump(mode="json") for one in each(guarantee)}
                unguarded += [why] if why and why not in unguarded else []
            home = dataset_of(str(recipe.resolve(path))) if "://" not in path else None
            behind = manifest_of(home)[0] if home is not None else {}
            own = behind.get("privacy", {})
            guarantees |= {str(one): one for one in own.get("guarantees", [])}
            unguarded += [x for x in own.get("unguarded", []) if x not in unguarded]
            if home is not None and not source.private:
                sources += [x for x in own.get("sources", []) or private_sources(behind) if x not in sources]
    everything = {"sources": sources, "guarantees": list(guarantees.values()), "unguarded": unguarded}
    return {name: value for name, value in everything.items() if value}


def section(privacy: dict[str, Any]) -> str:
    """The card's section on privacy as Markdown, or an empty string."""
    if not privacy:
        return ""
    paragraphs = []
    if privacy.get("sources"):
        names = ", ".join(privacy["sources"])
        paragraphs.append(
            f"**Not for publication.** It holds private text as it is, of {names}; no guarantee covers that text."
        )
    for reason in privacy.get("unguarded", []):
        paragraphs.append(f"**Not for publication.** {reason[:1].upper()}{reason[1:]}.")
    for one in privacy.get("guarantees", []):
        head = "Text in it was written by a model that was trained privately, or was chosen by private votes."
        paragraphs.append(f"{head} {paragraph(Guarantee.model_validate(one))}")
    return "## Privacy\n\n" + "\n\n".join(paragraphs) + "\n\n"
