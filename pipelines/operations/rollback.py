"""Going back: a new snapshot with the content of an older one. History stays linear, and nothing is rewritten.

What a later `run` makes of it follows from `work`, the digest of everything that decides a snapshot's bytes. The new snapshot
has the work of the one that it repeats. So a run of the recipe and sources that made the older snapshot finds nothing new,
which is true; a run of those that made the snapshot that was left is a run of other work, and commits its result again: `run`
makes the dataset what the recipe gives. Mend the recipe or the sources before the next run, or it returns.

Documents that were taken out since do not come back: they are left out of the new snapshot, which is then no longer what any
recipe gives (a duplicate of a document that was taken out may be missing), so that the next run is not taken for done.
"""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.dataset import suppression
from corpusmill.pipelines.dataset.results import Store, request_of
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.dataset.system_errors import explained
from corpusmill.pipelines.engine.commit import finish, publish_manifest
from corpusmill.pipelines.operations.purge import Forgotten, rewritten
from corpusmill.transforms.errors import DatasetError


def rollback(dataset: str, number: int) -> dict[str, Any]:
    """Commit the content of snapshot `number` as the next one, unless the newest is that already; returns its manifest.

    Raises:
        DatasetError: there is no such snapshot, it is the newest, or one of its files is damaged or gone.
        LockedError: another process is writing the dataset.
    """
    Dataset(dataset)
    with explained(dataset), Store(dataset).lock():
        reader = Dataset(dataset)
        newest, old = reader.manifest(), reader.manifest(number)
        if newest["number"] == number:
            raise DatasetError(f"{dataset}: snapshot {number} is the newest already; nothing was changed.")
        taken = suppression.current(dataset)
        same_list = newest.get("suppressed", {"lists": 0})["lists"] == taken.number
        if same_list and newest.get("rollback") == {"to": number, "digest": old["digest"]}:
            return finish(dataset)  # done before, perhaps by a process that died behind the commit
        problems = reader.verify(number)
        if problems:
            raise DatasetError(f"{dataset}: snapshot {number} cannot be brought back: {'; '.join(problems[:3])}.")
        content = {k: v for k, v in old.items() if k not in ("number", "digest", "created", "purged")}
        if taken:
            left = rewritten(reader, old, Forgotten.of(reader, [number], taken))
            if left is not None:
                content |= {k: v for k, v in left.items() if k in content}
                content["work"] = request_of("rollback", old["digest"], taken.digest)
            content["suppressed"] = {"lists": taken.number, "digest": taken.digest}
        content["parent"] = {"number": newest["number"], "digest": newest["digest"]}
        content["rollback"] = {"to": number, "digest": old["digest"]}
        return publish_manifest(dataset, newest["number"] + 1, content)
