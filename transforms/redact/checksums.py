"""Checksum and range checks of personal numbers.

Each check takes the bytes of a candidate as written in the text, and returns its canonical form, or None if it is invalid.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import date

IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28,
    "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28,
    "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24,
    "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26,
    "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
"""Length of an IBAN by country (ISO 13616 registry)."""


def digits_of(value: bytes) -> str:
    """The ASCII digits of a value."""
    return re.sub(rb"\D", b"", value).decode()


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1: the weighted sum of digits is a multiple of ten."""
    total = sum(map(int, digits[-1::-2])) + sum(sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])
    return total % 10 == 0


_MAESTRO = (5018, 5020, 5038, 5893, 6304, 6759, 6761, 6762, 6763)
"""Beginnings of Maestro's numbers."""


def card(value: bytes) -> str | None:
    """A payment card: the prefix and length of an issuer, and Luhn's sum."""
    n = digits_of(value)
    two, four = int(n[:2] or 0), int(n[:4] or 0)
    known = (
        (n[:1] == "4" and len(n) in (13, 16, 19))
        or ((51 <= two <= 55 or 2221 <= four <= 2720) and len(n) == 16)
        or (two in (34, 37) and len(n) == 15)
        or ((four == 6011 or two == 65 or 644 <= int(n[:3] or 0) <= 649) and len(n) in (16, 19))
        or (two == 35 and len(n) in (16, 19))
        or ((300 <= int(n[:3] or 0) <= 305 or two in (36, 38, 39)) and len(n) in (14, 16))
        or (two == 62 and 16 <= len(n) <= 19)
        or (four in _MAESTRO and 12 <= len(n) <= 19)
    )
    return n if known and luhn(n) and len(set(n)) > 1 else None


def iban(value: bytes) -> str | None:
    """An IBAN: the length of its country, and 1 modulo 97 (ISO 7064 MOD 97-10). Longer matches are cut at that length."""
    n = re.sub(rb"[^0-9A-Z]", b"", value).decode()
    length = IBAN_LENGTHS.get(n[:2], 0)
    if not length or len(n) < length:
        return None
    n = n[:length]
    number = "".join(str(int(c, 36)) for c in n[4:] + n[:4])
    return n if int(number) % 97 == 1 else None


def ipv4(value: bytes) -> str | None:
    """An address of a host: not the unspecified or loopback ones, no netmask, and no network or version as 10.2.0.0."""
    parts = [int(p) for p in value.split(b".")]
    if len(parts) != 4 or max(parts) > 255 or parts[0] in (0, 127, 255) or parts[2:] == [0, 0]:
        return None
    return ".".join(map(str, parts))


def ipv6(value: bytes) -> str | None:
    """An address of an allocated range: global, private, link-local, multicast, or an IPv4 address within IPv6; or any that
    is written in full, eight groups of which most have three or four digits: nothing else looks so.

    Source: IANA's registry of the IPv6 address space. The unspecified and the loopback address are refused.
    """
    try:
        address = ipaddress.IPv6Address(value.decode())
    except ValueError:
        return None
    first = int(address) >> 112
    allocated = (
        0x2000 <= first <= 0x3FFF
        or 0xFC00 <= first <= 0xFDFF
        or 0xFE80 <= first <= 0xFEBF
        or (0xFF00 <= first <= 0xFF7F and first & 0xF)
        or int(address) >> 96 == 0x64FF9B
        or address.ipv4_mapped is not None
        or sum(len(group) > 2 for group in value.split(b":")) >= 5
    )
    return str(address) if allocated else None


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        return 1850 <= date(year, month, day).year <= 2100
    except ValueError:
        return False


def us_ssn(value: bytes) -> str | None:
    """Social security number: area not 000, 666, 9xx; group not 00; serial not 0000."""
    n = digits_of(value)
    return n if n[:3] not in ("000", "666") and n[0] != "9" and n[3:5] != "00" and n[5:] != "0000" else None


def uk_nino(value: bytes) -> str | None:
    """National insurance number: prefixes never issued are refused."""
    n = value.replace(b" ", b"").decode()
    return n if n[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ") else None


def cn_resident(value: bytes) -> str | None:
    """Chinese resident identity number (GB 11643-1999): a date of birth and ISO 7064 MOD 11-2."""
    n = value.decode().upper()
    if not (11 <= int(n[:2]) <= 82 and _is_date(int(n[6:10]), int(n[10:12]), int(n[12:14]))):
        return None
    total = sum(int(d) * pow(2, 17 - i, 11) for i, d in enumerate(n[:17]))
    return n if "10X98765432"[total % 11] == n[17] else None


def kr_resident(value: bytes) -> str | None:
    """Korean resident registration number, of before October 2020: a date of birth and a weighted sum modulo 11."""
    n = digits_of(value)
    century = 1900 if n[6] in "1256" else 2000 if n[6] in "3478" else 1800
    if not _is_date(century + int(n[:2]), int(n[2:4]), int(n[4:6])):
        return None
    total = sum(int(d) * w for d, w in zip(n, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)))
    return n if (11 - total % 11) % 10 == int(n[12]) else None


def br_cpf(value: bytes) -> str | None:
    """Brazilian CPF: two check digits modulo 11."""
    n = digits_of(value)
    if len(set(n)) == 1:
        return None
    for length in (9, 10):
        total = sum(int(d) * (length + 1 - i) for i, d in enumerate(n[:length]))
        if (10 * total % 11) % 10 != int(n[length]):
            return None
    return n


def es_dni(value: bytes) -> str | None:
    """Spanish DNI or NIE: a letter by the number modulo 23."""
    n = value.decode().upper().replace("-", "")
    number = int({"X": "0", "Y": "1", "Z": "2"}.get(n[0], n[0]) + n[1:-1])
    return n if "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23] == n[-1] else None


def fr_nir(value: bytes) -> str | None:
    """French social security number: 97 minus the number modulo 97."""
    n = digits_of(value)
    return n if 97 - int(n[:13]) % 97 == int(n[13:]) and (1 <= int(n[3:5]) <= 12 or int(n[3:5]) >= 20) else None


def _dihedral(i: int, j: int) -> int:
    """The product of two elements of the dihedral group of ten: turns 0 to 4, mirrored turns 5 to 9."""
    turn = (i + j) % 5 if i < 5 else (i - j) % 5
    return turn if (i < 5) == (j < 5) else 5 + turn


_VERHOEFF_P = [list(range(10)), [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]]
for _ in range(6):
    _VERHOEFF_P.append([_VERHOEFF_P[1][d] for d in _VERHOEFF_P[-1]])


def in_aadhaar(value: bytes) -> str | None:
    """Indian Aadhaar: the scheme of Verhoeff 1969 in the dihedral group of ten."""
    n = digits_of(value)
    check = 0
    for i, d in enumerate(reversed(n)):
        check = _dihedral(check, _VERHOEFF_P[i % 8][int(d)])
    return n if check == 0 and n[0] not in "01" else None
