"""Documents that are ZIP files of XML: EPUB and DOCX. What a member decodes to is counted before it is used, and XML with a
document type or entities is refused, so that neither bombs of ZIP nor of XML come through."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Any

from corpusmill.transforms.errors import MissingDependencyError
from corpusmill.transforms.sources.limits import Budget

MEMBERS = 100_000


class BadDocumentError(Exception):
    """Why a document cannot be read: reason and detail of its quarantined row."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class Container:
    """A ZIP file in memory; `kind` begins the reasons of what is wrong with it."""

    def __init__(self, data: bytes, kind: str, budget: Budget) -> None:
        self.kind, self._budget = kind, budget
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            self.names = {i.filename: i for i in self._zip.infolist()}
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, RecursionError) as error:
            raise BadDocumentError(f"{kind}-damaged", f"is no ZIP file, or damaged ({error})") from None
        if len(self.names) > MEMBERS:
            raise BadDocumentError(f"{kind}-damaged", f"has more than {MEMBERS:,} members")

    def read(self, name: str) -> bytes | None:
        """The bytes of a member, or None if it is absent.

        Raises:
            BadDocumentError: it is damaged or encrypted.
            BadFileError: all members decode to more than the source allows.
        """
        info = self.names.get(name)
        if info is None:
            return None
        if info.flag_bits & 1:
            raise BadDocumentError(f"{self.kind}-encrypted", f"{name} is encrypted")
        self._budget.spend(info.file_size)
        try:
            with self._zip.open(info) as member:
                data = member.read(info.file_size + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
            raise BadDocumentError(f"{self.kind}-damaged", f"{name} cannot be unpacked ({error})") from None
        if len(data) > info.file_size:
            raise BadDocumentError(f"{self.kind}-damaged", f"{name} decodes to more than it says")
        return data

    def xml(self, name: str) -> Any | None:
        """The root element of an XML member, or None if it is absent.

        Raises:
            BadDocumentError: it is no XML, or has a document type or entities of its own.
        """
        data = self.read(name)
        if data is None:
            return None
        try:
            from defusedxml.common import DefusedXmlException
            from defusedxml.ElementTree import ParseError, fromstring
        except ImportError:
            raise MissingDependencyError(
                f"format: {self.kind} needs the package defusedxml. Install it with: pip install 'corpusmill[documents]'."
            ) from None
        try:
            return fromstring(data, forbid_dtd=True)
        except DefusedXmlException:
            raise BadDocumentError(
                f"{self.kind}-entities", f"{name} has a document type or entities of its own"
            ) from None
        except (ParseError, ValueError, LookupError, RecursionError) as error:
            raise BadDocumentError(f"{self.kind}-damaged", f"{name} is no XML ({error})") from None


def local(tag: Any) -> str:
    """The name of an element or attribute without its namespace."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
