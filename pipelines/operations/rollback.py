"""Rolls back: commits a new snapshot with the content of an older one. History stays linear, and nothing is rewritten.

`work` is the digest of everything that decides a snapshot's bytes, and the new snapshot has the `work` of the one it repeats.
A later run with the older recipe and sources therefore finds nothing new. A run with the newer ones has other work and commits
its result again, so change the recipe or the sources before the next run.

Documents that were taken out since then do not return. The new snapshot lacks them, and is then the result of no recipe (the
duplicate of a removed document may be missing), so it gets a `work` of its own and the next run commits again.
"""

from __future__ import annotations

from corpusmill.pipelines.dataset import suppression
from corpusmill.pipelines.dataset.results import Store, request_of
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.dataset.system_errors import explained
from corpusmill.pipelines.engine.commit import finish, publish_manifest
from corpusmill.pipelines.operations.purge import Forgotten, rewritten
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.manifest import Manifest, body_of


def rollback(dataset: str, number: int) -> Manifest:
    """Commit the content of snapshot `number` as the next one, unless that is done already; returns the manifest.

    Raises:
        DatasetError: there is no such snapshot, it is the newest, or one of its files is damaged or missing.
        LockedError: another process is writing the dataset.
    """
    Dataset(dataset)
    with explained(dataset), Store(dataset).lock():
        reader = Dataset(dataset)
        newest, old = reader.manifest(), reader.manifest(number)
        if newest["number"] == number:
            raise DatasetError(f"{dataset}: snapshot {number} is the newest already; nothing was changed.")
        suppressed = suppression.current(dataset)
        same_list = newest.get("suppressed", {"lists": 0})["lists"] == suppressed.number
        if same_list and newest.get("rollback") == {"to": number, "digest": old["digest"]}:
            return finish(dataset)  # done before, perhaps by a process that was killed after the commit
        problems = reader.verify(number)
        if problems:
            raise DatasetError(
                f"{dataset}: snapshot {number} cannot be brought back: {'; '.join(problems[:3])}. Restore what is damaged, or "
                "choose another snapshot."
            )
        content = body_of(old)
        content.pop("purged", None)
        if suppressed:
            rest = rewritten(reader, old, Forgotten.of(reader, [number], suppressed))
            if rest is not None:
                content = rest
                content.pop("purged", None)
                content["work"] = request_of("rollback", old["digest"], suppressed.digest)
            content["suppressed"] = {"lists": suppressed.number, "digest": suppressed.digest}
        content["parent"] = {"number": newest["number"], "digest": newest["digest"]}
        content["rollback"] = {"to": number, "digest": old["digest"]}
        return publish_manifest(dataset, newest["number"] + 1, content)
