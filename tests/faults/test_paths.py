"""Paths that cannot be used, at every place of the command line and of settings where a path may stand.

What must hold: a command ends with an error that is no defect, and names the path if the path is at fault; nothing half-written
stays. `make faults` tries all pairs of a place and a kind of path, `make test` one kind for each place.
"""

import os

import pytest
import yaml

from tests.command import invoke
from tests.faults.living import folder
from tests.faults.paths import HERE, commands, kinds, settings, with_path, world
from tests.faults.serial import LONG, serially

SLOW = (
    "scorer train --out",
    "selftrain",
    "eval",
    "generate",
    "chat",
    "train",
    "privacy plan",
    "privacy budget",
    "tokenizer --out",
)
"""Places whose commands take seconds where the path is usable; tried in the long form only."""


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_path_ends_as_a_defect_or_leaves_a_half_written_file(monkeypatch):
    monkeypatch.chdir("/")
    with folder() as base, serially():
        os.chdir(base)
        world(base)
        bad = kinds(base)
        tried = [(place, line, None, ()) for place, line in commands(base).items()]
        tried += [(place, [verb, f"{base}/bad.yaml"], given, keys) for place, verb, given, keys in settings(base)]
        wrong = []
        for number, (place, line, given, keys) in enumerate(tried):
            if not LONG and place.startswith(SLOW):
                continue
            for kind in list(bad) if LONG else [list(bad)[number % len(bad)]]:
                if given is not None:
                    (base / "bad.yaml").write_text(yaml.safe_dump(with_path(given, keys, bad[kind])))
                done = invoke(*(bad[kind] if word == HERE else word for word in line))
                raised = done.exception is not None and not isinstance(done.exception, SystemExit)
                if raised or "defect" in done.output or "Traceback" in done.output:
                    wrong.append(f"{place}, {kind}: {done.output[-300:]} {done.exception!r}")
                wrong += [f"{place}, {kind}: {left} stays" for left in base.rglob(".tmp-*")]
                if wrong and wrong[-1].endswith("stays"):
                    break
        os.chdir("/")
    assert not wrong, "\n".join(wrong)
