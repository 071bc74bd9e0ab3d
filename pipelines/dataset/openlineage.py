"""OpenLineage events, to a server when one is set: the same event that each commit appends to `events.jsonl`.

The environment says where, by the names that all of OpenLineage's own clients take: OPENLINEAGE_URL, OPENLINEAGE_ENDPOINT
(`api/v1/lineage` if not set), OPENLINEAGE_API_KEY; OPENLINEAGE_DISABLED=true keeps silent. A server that does not answer costs a
warning and never a run: what it missed lies in the file.
"""

from __future__ import annotations

import http.client
import json
import os
import urllib.request
import warnings
from typing import Any

from corpusmill.transforms.secrets import mask

TIMEOUT = 10.0
"""Seconds that a server has to answer."""


def target() -> str | None:
    """The address that events are posted to, or None."""
    url = os.environ.get("OPENLINEAGE_URL", "").strip()
    if not url or os.environ.get("OPENLINEAGE_DISABLED", "").lower() == "true":
        return None
    return f"{url.rstrip('/')}/{os.environ.get('OPENLINEAGE_ENDPOINT', 'api/v1/lineage').strip('/')}"


def send(event: dict[str, Any]) -> bool:
    """Post an event, if an address is set; whether a server took it. Never raises for what a server does."""
    address = target()
    if address is None:
        return False
    if not address.startswith(("http://", "https://")):
        warnings.warn(
            f"OPENLINEAGE_URL: {mask(address)} is no http address; the event is in events.jsonl only", stacklevel=2
        )
        return False
    headers = {"Content-Type": "application/json"}
    # a key that comes of a file has a line break, which the refusal of such a header would show with the key
    if key := "".join(os.environ.get("OPENLINEAGE_API_KEY", "").split()):
        headers["Authorization"] = f"Bearer {key}"
    try:
        request = urllib.request.Request(address, json.dumps(event).encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=TIMEOUT):
            return True
    # URLError and HTTPError are OSErrors; an address that is none, and an answer that is not HTTP's, are not
    except (OSError, ValueError, http.client.HTTPException) as error:
        warnings.warn(
            f"{mask(address)} did not take the lineage event: {mask(str(error)).strip()}. It is in events.jsonl; the "
            "snapshot is committed.",
            stacklevel=2,
        )
        return False
