"""Certificates by which the parties of a joint computation know one another: one authority, one certificate a party.

A party is known by the name in its certificate, not by where it runs: the name is its common name and its only DNS name,
and both ends of every connection check it. Whoever holds the authority's key can be any party, so it belongs to none of
them alone for longer than the signing takes: `make` writes everything into one folder, for owners who trust who runs it;
else each owner makes its own key and a request (`request`), and only requests go to whoever signs (`sign`).

Keys are ECDSA P-256 and never leave the folder they were made in; their files can be read by their owner alone.
"""

from __future__ import annotations

import datetime
import os
import re
from pathlib import Path
from typing import Any

from corpusmill.privacy.secret import private_file
from corpusmill.transforms.errors import DatasetError, MissingDependencyError, PrivacyError

AUTHORITY = "authority"
NAME = re.compile(r"^[a-z][a-z0-9-]{0,31}$")
"""What a party may be called."""


def _x509() -> tuple[Any, Any, Any, Any]:
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise MissingDependencyError("certificates need cryptography: pip install 'corpusmill[mpc]'") from error
    return x509, hashes, serialization, ec


def make(folder: str | Path, names: list[str], days: int = 365) -> list[Path]:
    """An authority and a signed certificate for each name; the files written. Nothing that exists is written over, and nothing
    is written where a name cannot be used."""
    for name in names:
        _check_name(name)
        if names.count(name) > 1:
            raise PrivacyError(f"`{name}` is named twice: each party has a name of its own.")
    paths = [f"{n}.{kind}" for n in (AUTHORITY, *names) for kind in ("key.pem", "csr.pem", "pem")]
    for path in (Path(folder) / name for name in paths):
        if path.exists():
            raise _taken(path)
    files = [*make_authority(folder, days)]
    for name in names:
        asked = request(folder, name)
        files += [Path(folder) / f"{name}.key.pem", asked, sign(folder, asked, days)]
    return files


def make_authority(folder: str | Path, days: int = 365) -> list[Path]:
    """authority.pem, to be given to all parties, and authority.key.pem, which signs."""
    x509, hashes, serialization, ec = _x509()
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "corpusmill " + AUTHORITY)])
    built = _dated(x509, days).subject_name(subject).issuer_name(subject).public_key(key.public_key())
    built = built.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    built = built.add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    built = built.add_extension(own, critical=False)
    pem = built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = _private(serialization, key)
    return [
        _write(Path(folder) / f"{AUTHORITY}.key.pem", private, 0o600),
        _write(Path(folder) / f"{AUTHORITY}.pem", pem, 0o644),
    ]


def request(folder: str | Path, name: str) -> Path:
    """A party's own key, NAME.key.pem, and what it sends to whoever signs, NAME.csr.pem (returned)."""
    x509, hashes, serialization, ec = _x509()
    _check_name(name)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    asked = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    _write(Path(folder) / f"{name}.key.pem", _private(serialization, key), 0o600)
    return _write(Path(folder) / f"{name}.csr.pem", asked.public_bytes(serialization.Encoding.PEM), 0o644)


def has_authority(folder: str | Path) -> bool:
    """Whether a folder has an authority, or a part of one."""
    return any((Path(folder) / f"{AUTHORITY}{kind}.pem").exists() for kind in ("", ".key"))


def _asked(asked: str | Path) -> tuple[Any, str]:
    """(a request, the name in it)."""
    x509, *_ = _x509()
    advice = "make one with `corpusmill party request`."
    try:
        wanted = x509.load_pem_x509_csr(Path(asked).read_bytes())
    except OSError as error:
        raise DatasetError(f"{asked}: cannot be read: {error.strerror}; name a request of a party; {advice}") from error
    except ValueError as error:
        raise DatasetError(f"{asked}: is not a request of a party ({error}); {advice}") from error
    names = wanted.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    name = str(names[0].value) if len(names) == 1 else ""
    if not wanted.is_signature_valid or not NAME.match(name):
        raise PrivacyError(f"{asked}: is not a valid request of a party; {advice}")
    return wanted, name


def sign_first(folder: str | Path, asked: str | Path, days: int = 365) -> Path:
    """`sign`, by an authority that is made if the folder has none, and not for a request that is none."""
    _asked(asked)
    if not has_authority(folder):
        make_authority(folder, days)
    return sign(folder, asked, days)


def sign(folder: str | Path, asked: str | Path, days: int = 365) -> Path:
    """NAME.pem beside the request `asked`, signed by the authority in `folder`. Only the request's name and key are taken."""
    x509, hashes, serialization, _ = _x509()
    wanted, name = _asked(asked)
    try:
        private_file(Path(folder) / f"{AUTHORITY}.key.pem")
        key = serialization.load_pem_private_key((Path(folder) / f"{AUTHORITY}.key.pem").read_bytes(), None)
        authority = x509.load_pem_x509_certificate((Path(folder) / f"{AUTHORITY}.pem").read_bytes())
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{asked}: cannot be signed by the authority in {folder} ({error}); name the folder that has "
            f"{AUTHORITY}.pem and {AUTHORITY}.key.pem."
        ) from error
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    built = _dated(x509, days).subject_name(subject).issuer_name(authority.subject).public_key(wanted.public_key())
    usage = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH])
    built = built.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    built = built.add_extension(usage, critical=False)
    built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    built = built.add_extension(issuer, critical=False)
    pem = built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return _write(Path(asked).with_name(f"{name}.pem"), pem, 0o644)


def _check_name(name: str) -> None:
    if not NAME.match(name) or name == AUTHORITY:
        raise PrivacyError(f"`{name}` cannot name a party: use up to 32 lower-case letters, digits and hyphens.")


def _taken(path: Path) -> DatasetError:
    return DatasetError(f"{path}: exists and is left as it is; name another folder, or remove it first.")


def _dated(x509: Any, days: int) -> Any:
    now = datetime.datetime.now(datetime.UTC)
    begin = now - datetime.timedelta(minutes=5)  # clocks of two hosts differ
    built = x509.CertificateBuilder().serial_number(x509.random_serial_number())
    return built.not_valid_before(begin).not_valid_after(now + datetime.timedelta(days=days))


def _private(serialization: Any, key: Any) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _write(path: Path, data: bytes, mode: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise _taken(path) from None
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    return path
