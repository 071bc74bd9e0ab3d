"""Reads the key of pseudonyms from an environment variable or a file, never from the recipe."""

from __future__ import annotations

import hmac
import os
from pathlib import Path

from corpusmill.transforms.errors import RecipeError

_SHORTEST = 16


def read_key(variable: str, path: str | None) -> bytes:
    """The key's bytes without surrounding white space. Errors never show the key.

    Raises:
        RecipeError: there is no key, or it is shorter than 16 bytes.
    """
    if path is not None:
        try:
            key = Path(path).read_bytes().strip()
        except OSError as error:
            raise RecipeError(
                f"key_file {path} cannot be read ({error.strerror}). Write a key: openssl rand -hex 32 > {path}"
            ) from None
        place = f"key_file {path}"
    else:
        key = os.environ.get(variable, "").strip().encode()
        place = f"environment variable {variable}"
        if not key:
            raise RecipeError(
                f"{place} is not set, and pseudonyms need a secret key. Run: export {variable}=$(openssl rand -hex 32)"
            )
    if len(key) < _SHORTEST:
        raise RecipeError(
            f"{place} holds {len(key)} bytes, fewer than {_SHORTEST}: a short key can be guessed. Make one: openssl rand -hex 32"
        )
    return key


def pseudonym(key: bytes, type_: str, value: str) -> str:
    """16 hexadecimal digits of HMAC-SHA256(key, type NUL value): the same for equal values in all documents."""
    return hmac.digest(key, f"{type_}\0{value}".encode(), "sha256").hex()[:16]
