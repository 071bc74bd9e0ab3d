"""Breaks every verb at calls of the C library, by a preloaded shim: `LD_PRELOAD=shim.so python -m tests.faults.injection`.

The process imports and compiles once. Each trial is a fork of it: a copy of the verb's world, the command with one call that
fails, and the same command again. Prints one JSON object: {"trials", "by", "problems"}.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import json
import os
import random
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpusmill.pipelines.dataset import suppression
from tests.command import invoke
from tests.faults.living import folder, one_salt
from tests.faults.serial import serially
from tests.faults.verbs import VERBS, Verb

OPS = ("open", "create", "read", "write", "fsync", "rename", "link", "unlink", "mkdir", "truncate")
HALF, KILL = -1, -2
ERRORS: dict[str, tuple[int, ...]] = {
    "open": (errno.EIO, errno.EMFILE, errno.EINTR),
    "create": (errno.EIO, errno.ENOSPC, errno.EMFILE, errno.EINTR),
    "read": (errno.EIO, errno.EINTR, HALF),
    "write": (errno.EIO, errno.ENOSPC, errno.EINTR, HALF),
    "fsync": (errno.EIO, errno.ENOSPC),
    "rename": (errno.EIO, errno.ENOSPC),
    "link": (errno.EIO, errno.ENOSPC),
    "unlink": (errno.EIO,),
    "mkdir": (errno.EIO, errno.ENOSPC),
    "truncate": (errno.EIO, errno.ENOSPC),
}
STICKY = (errno.ENOSPC,)
"""Errors that last: a disk that is full stays full for the rest of the command."""
REMEDY = re.compile(r"again|free |remove|restore|check |make |run |ulimit|name |give|choose|set `|goes on|--|To go on")
REFUSED = ("budget", "export")
"""Verbs that refuse to do again what is done."""
LIMIT = 120
"""Seconds until a command counts as stuck."""


def forked(work: Callable[[], Any]) -> Any:
    """What `work` returns, from a fork of this process; None if it was killed, a text if it was stuck or broke."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        status = 1
        try:
            said = json.dumps(work())
            with os.fdopen(write, "w") as pipe:
                pipe.write(said)
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(write)
    end = time.monotonic() + LIMIT
    with os.fdopen(read, "rb") as pipe:
        os.set_blocking(read, False)
        said = b""
        while True:
            part = pipe.read()
            said += part or b""
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                said += pipe.read() or b""
                break
            if time.monotonic() > end:
                os.kill(pid, 9)
                os.waitpid(pid, 0)
                return "stuck"
            time.sleep(0.002)
    code = os.waitstatus_to_exitcode(status)
    return json.loads(said) if code == 0 and said else None if code == -9 else f"broke with {code}"


class Campaign:
    """Trials of all verbs below a folder."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home = home
        self.shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
        self.shim.fault_hit.restype = ctypes.c_char_p
        self.shim.fault_count.restype = ctypes.c_long
        self.rng = random.Random(seed)
        self.problems: list[str] = []
        self.by: Counter[str] = Counter()
        self.counts: dict[str, dict[str, int]] = {}
        self.expected: dict[str, str] = {}

    def command(self, verb: Verb, op: int = -1, at: int = 0, error: int = 0) -> dict[str, Any]:
        """Run the verb with one call that fails: code, output, counts of calls, the file that was hit."""
        base = self.home / "now"
        arguments = verb.arguments(base)
        self.shim.fault_arm(os.fsencode(base), op, ctypes.c_long(at), error, int(error in STICKY))
        done = invoke(*arguments)
        found = {name: self.shim.fault_count(k) for k, name in enumerate(OPS)}
        hit = os.fsdecode(self.shim.fault_hit())
        self.shim.fault_arm(b"", -1, ctypes.c_long(0), 0, 0)
        raised = repr(done.exception) if done.exception and not isinstance(done.exception, SystemExit) else ""
        return {"code": done.exit_code, "said": done.output + raised, "counts": found, "hit": hit}

    def result(self, verb: Verb) -> str:
        """What is there, or why nothing can be told."""
        suppression._load.cache_clear()
        try:
            return verb.result(self.home / "now")
        except Exception as error:
            return f"problem: {error!r:.300}"

    def prepare(self, verb: Verb) -> None:
        """The verb's world, and a sound run of it, which also imports and compiles what it needs."""
        base = self.home / "now"
        base.mkdir()
        verb.world(base)
        shutil.copytree(base, self.home / verb.name, copy_function=shutil.copy2)
        done = self.command(verb)
        assert done["code"] == 0, (verb.name, done["said"])
        self.counts[verb.name], self.expected[verb.name] = done["counts"], self.result(verb)
        assert not self.expected[verb.name].startswith("problem"), self.expected[verb.name]
        shutil.rmtree(base)

    def trial(self, verb: Verb, op: str, at: int, error: int) -> None:
        """One failing call; then the same command, which must end as a sound one."""
        base = self.home / "now"
        shutil.copytree(self.home / verb.name, base, copy_function=shutil.copy2)
        name = {HALF: "half", KILL: "kill"}.get(error) or errno.errorcode[error]
        first = forked(lambda: self.command(verb, OPS.index(op), at, error))
        told = first["said"] if isinstance(first, dict) else str(first)
        where = f"{verb.name}: {name} at {op} {at} ({first['hit'] if isinstance(first, dict) else '?'})"
        self.by[f"{verb.name} {name}"] += 1
        complaints = []
        if isinstance(first, str):
            complaints.append(first)
        elif first is not None and first["code"] in (0, 3):
            state = forked(lambda: self.result(verb))
            if state != self.expected[verb.name]:
                complaints.append(f"said it was done, and is not: {state}")
        elif first is not None:
            if "defect" in told or "Traceback" in told:
                complaints.append("told as a defect")
            if str(base) not in told or not REMEDY.search(told):
                complaints.append("no file or no remedy")
        second = forked(lambda: self.command(verb))
        state = forked(lambda: self.result(verb))
        if not isinstance(second, dict) or state != self.expected[verb.name]:
            complaints.append(f"the same command does not heal it: {second!s:.600} / {state}")
        elif second["code"] not in (0, 3) and ("defect" in second["said"] or verb.name not in REFUSED):
            complaints.append(f"the same command fails: {second['said'][-600:]}")
        left = [str(p) for p in base.rglob(".tmp-*")] if verb.name in ("run", "refresh") else []
        if left and error != KILL:
            complaints.append(f"temporary files stay: {left[:3]}")
        if complaints:
            self.problems.append(f"{where}: {'; '.join(complaints)}\n    {told[-700:]}")
        shutil.rmtree(base, ignore_errors=True)

    def errors(self, trials: int, verbs: list[Verb]) -> None:
        """Errors spread over verbs and kinds of calls."""
        pairs = [
            (verb, op, error)
            for verb in verbs
            for op, errors in ERRORS.items()
            for error in errors
            if self.counts[verb.name][op]
        ]
        self.rng.shuffle(pairs)
        pairs.sort(key=lambda p: p[0].slow)
        for k in range(trials):
            verb, op, error = pairs[k % len(pairs)]
            self.trial(verb, op, self.rng.randrange(self.counts[verb.name][op]), error)

    def kills(self, trials: int, verbs: list[Verb]) -> None:
        """kill -9 in file operations of every kind, spread over verbs."""
        pairs = [(v, op) for v in verbs for op in OPS if self.counts[v.name][op]]
        self.rng.shuffle(pairs)
        pairs.sort(key=lambda p: p[0].slow)
        for k in range(trials):
            verb, op = pairs[k % len(pairs)]
            self.trial(verb, op, self.rng.randrange(self.counts[verb.name][op]), KILL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--errors", type=int, default=0)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("verbs", nargs="*", help="only these")
    options = parser.parse_args()
    with folder() as home, serially(), one_salt():
        campaign = Campaign(home, options.seed)
        verbs = [v for v in VERBS if not options.verbs or v.name in options.verbs]
        for verb in verbs:
            campaign.prepare(verb)
        campaign.errors(options.errors, verbs)
        campaign.kills(options.kills, verbs)
        found = {"trials": sum(campaign.by.values()), "by": campaign.by, "problems": campaign.problems}
    json.dump(found, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
