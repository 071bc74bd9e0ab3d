"""A WordNet of a dozen words of our own making, in the format of its database files."""

from __future__ import annotations

from pathlib import Path

NOUNS = [("dog", "hound"), ("car", "auto", "motor_car"), ("child", "kid"), ("box", "crate")]
VERBS = [("jump", "leap"), ("begin", "start", "commence"), ("walk", "stroll"), ("dog", "chase")]
ADJECTIVES = [("quick", "fast", "speedy(p)")]
COUNTS = ["dog%1:05:00:: 1 42", "dog%2:38:00:: 1 2", "jump%2:38:00:: 1 5", "quick%5:00:00:fast:00 1 3"]


def write_wordnet(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for pos, tag, synsets in (("noun", "n", NOUNS), ("verb", "v", VERBS), ("adj", "a", ADJECTIVES), ("adv", "r", [])):
        data, places = ["  1 a line of the licence"], {}
        for number, words in enumerate(synsets, 100):
            data.append(f"{number:08d} 05 {tag} {len(words):02x} {' '.join(f'{w} 0' for w in words)} 000 | a gloss")
            for w in words:
                places.setdefault(w.partition("(")[0], []).append(f"{number:08d}")
        index = ["  1 a line of the licence"]
        index += [f"{w} {tag} {len(p)} 0 {len(p)} 0 {' '.join(p)}" for w, p in sorted(places.items())]
        (folder / f"data.{pos}").write_text("\n".join(data) + "\n")
        (folder / f"index.{pos}").write_text("\n".join(index) + "\n")
    (folder / "noun.exc").write_text("children child\n")
    (folder / "verb.exc").write_text("began begin\nbegun begin\nbeginning begin\n")
    (folder / "cntlist.rev").write_text("\n".join(COUNTS) + "\n")
    return folder
