"""Documents of evaluation splits that a step wrote once, beside those that it repeated and sampled."""

from __future__ import annotations

from corpusmill.pipelines.wording import count, printable
from corpusmill.transforms.manifest import EVALUATION, StepCount


def once_each(step: StepCount) -> str:
    """The evaluation documents that a step wrote once, by split; empty if there are none.

    >>> once_each({"details": {"documents:web": 9, "evaluation:test": 3, "evaluation:validation": 1200}})
    'evaluation documents, each once (3 of test, 1,200 of validation)'
    """
    found = {name: n for name, n in step.get("details", {}).items() if name.startswith(EVALUATION)}
    parts = [f"{count(n)} of {printable(name.removeprefix(EVALUATION))}" for name, n in sorted(found.items())]
    return f"evaluation documents, each once ({', '.join(parts)})" if parts else ""
