"""Runs one small recipe with every kind of step, so that numba's compiled kernels lie beside the code in the image."""

import json
import tempfile
from pathlib import Path

from pipelines.recipe import loads
from pipelines.run import run

STEPS = ["clean", "gopher-quality", "gopher-repetition", "exact", "minhash", "paragraphs", {"noise": {"delete": 0.1}}]


def main() -> None:
    """Fails if the recipe does: an image whose steps do not run is not built."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["the", "of", "and", "to", "in", "that", "have", "with", "some", "text", "about", "a", "river"]
        rows = [{"text": " ".join(words[i % 7 :] * 8)} for i in range(64)]
        Path(folder, "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        recipe = {
            "name": "warm",
            "sources": [{"name": "rows", "path": "rows.jsonl"}],
            "steps": STEPS,
            "output": {"path": "out"},
        }
        run(loads(json.dumps(recipe), base_dir=Path(folder)), workers=1)


if __name__ == "__main__":
    main()
