"""The one place that knows what is secret: passwords and keys in addresses, and keys written as they are.

Settings with a secret in them are refused, because recipes, manifests, histories and logs are copied and published. What is
printed or kept for other reasons (errors of libraries, answers of servers) passes `mask` first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

REFUSED = "a name with credentials in it is not used, because it would stand in recipes, manifests and logs"
REMEDY = "give them by environment variables, a profile, or the role of the machine"
KEY_REMEDY = (
    "put the key into an environment variable and name that, as in `key=MY_API_KEY`; only variables named like NAME_API_KEY or "
    "NAME_TOKEN are sent to a server"
)
ADVICE = f"{REFUSED}. To go on: {REMEDY}."

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*_(?:API_KEY|TOKEN)|API_KEY")
_NOT_SENT = re.compile(
    r"(?:AWS|GH|GITHUB|GITLAB|CI|ACTIONS|NPM|PYPI|TWINE|DOCKER|KUBE|VAULT|AZURE|GOOGLE|SLACK)_.*TOKEN"
)
"""Tokens that machines carry for other purposes than asking a model."""

# user and password of an address: all up to the last @, unless what follows the colon is a port
_LOGIN = re.compile(r"(?<=://)(?:[^\s/@:\"'<>]+:(?!\d+(?:/|$))[^\s\"'<>]*|:[^\s/@\"'<>]+|[^\s/@:\"'<>]+)(?=@)")
_PARAMETER = re.compile(
    r"(?<=[?&#;])(?P<name>[\w.%-]*(?:key|key_?id|token|secret|signature|password|passwd|pwd|credentials?)|sig|auth|authorization)="
    r"(?P<value>[^&;,`\s\"'<>#]+)",
    re.IGNORECASE,
)
_KEYS = re.compile(
    r"\bsk-[\w-]{8,}|\b(?:gh[oprsu]|glpat|hf)[_-]\w{16,}|\bgithub_pat_\w{16,}|\bAKIA[0-9A-Z]{16}\b|\bAIza[\w-]{30,}"
    r"|\bxox[abprs]-[\w-]{10,}|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+|(?<=Bearer )[\w.~+/=-]{8,}"
)
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://[^\s\"'<>]*", re.IGNORECASE)
_NAMED_LOGINS = ("s3", "gs", "http", "https")
"""Schemes whose addresses have no user at all, so that even one without a password is a key."""


def sendable(variable: str) -> bool:
    """Whether an environment variable of this name may be sent to a server that settings name.

    >>> sendable("OPENAI_API_KEY"), sendable("DB_PASSWORD"), sendable("GITHUB_TOKEN"), sendable("sk-live-123")
    (True, False, False, False)
    """
    return _VARIABLE.fullmatch(variable) is not None and not _NOT_SENT.fullmatch(variable)


def has_secret(text: str) -> bool:
    """Whether an address in `text` carries a user and password, or a key or signature in its query.

    >>> has_secret("https://me:word@host/a"), has_secret("https://host/a?sv=1&sig=abc"), has_secret("https://host:80/a@b")
    (True, True, False)
    """
    if "://" not in text:
        return False
    for match in _ADDRESS.finditer(text):
        address = match[0]
        login = _LOGIN.search(address)
        if login and (":" in unquote(login[0]) or match[1].lower() in _NAMED_LOGINS):
            return True
        if any(not sendable(p["value"]) for p in _PARAMETER.finditer(address)):
            return True
    return False


def mask(text: str) -> str:
    """`text` with an asterisk for each character of a secret, so that columns stay where they are.

    >>> mask("path: s3://me:secret@bucket/a"), mask("?sig=abc&sv=1"), mask("?key=OPENAI_API_KEY")
    ('path: s3://*********@bucket/a', '?sig=***&sv=1', '?key=OPENAI_API_KEY')
    """
    text = _LOGIN.sub(_stars, text)
    text = _PARAMETER.sub(lambda m: m[0] if sendable(m["value"]) else f"{m['name']}={'*' * len(m['value'])}", text)
    return _KEYS.sub(_stars, text)


def shown(address: str) -> str:
    """An address without user, query and fragment.

    >>> shown("s3://me:secret@bucket/a?token=1")
    's3://***@bucket/a'
    """
    head, separator, rest = _LOGIN.sub("***", address).partition("://")
    return f"{head}{separator}{re.split('[?#]', rest)[0]}"


def remedy(text: str) -> str:
    """What to do instead of writing the secret that `text` has."""
    return KEY_REMEDY if re.match(r"api(\+chat)?:", text) else REMEDY


def secrets_in(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """(path, text) of the texts in nested lists and mappings that have a secret."""
    if isinstance(value, str):
        if has_secret(value):
            yield path, value
    elif isinstance(value, dict | list | tuple):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from secrets_in(inner, (*path, name))


def _stars(match: re.Match[str]) -> str:
    return "*" * len(match[0])
