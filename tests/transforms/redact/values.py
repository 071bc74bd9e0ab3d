"""Made-up personal values in documented formats, and things that look like them. Nobody's data is in it."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.transforms.redact.fixture import _card as card
from tests.transforms.redact.fixture import _digits as digits
from tests.transforms.redact.fixture import _iban as iban
from tests.transforms.redact.fixture import _national as national_id

Make = Callable[[random.Random], str]

PHONES = {
    "en": ["({A}) {E}-dddd", "{A}-{E}-dddd", "{A}.{E}.dddd", "+1 {A} {E} dddd", "1-{A}-{E}-dddd", "+1 ({A}) {E}-dddd",
           "+44 20 7946 0ddd", "020 7946 0ddd", "0161 496 0ddd", "07700 900ddd", "+44 7700 900ddd", "+61 2 5550 dddd",
           "0491 570 ddd", "+353 86 ddd dddd"],
    "de": ["030 dddddd", "030/dddddd", "089-ddddddd", "+49 30 dddddd", "+49 (0)89 ddddddd", "0171 ddddddd", "01512 ddddddd",
    "+49 151 dddddddd",
           "0664 ddddddd", "+43 1 ddddddd", "044 668 18 dd", "+41 44 668 18 dd"],
    "fr": ["01 42 68 dd dd", "06 12 34 dd dd", "06.78.dd.dd.dd", "+33 1 42 68 dd dd", "+33 (0)6 12 dd dd dd", "0612dddddd",
    "02 512 dd dd", "0470 12 dd dd"],
    "es": ["612 34 dd dd", "91 123 dd dd", "+34 612 34 dd dd", "+34 91 123 dd dd", "+52 55 1234 dddd", "55 5123 dddd",
    "+54 9 11 2345 dddd", "+57 301 234 dddd"],
    "pt": ["(11) 9{B}ddd-dddd", "(21) 3{B}dd-dddd", "+55 11 9{B}ddd-dddd", "+351 912 345 ddd", "11 9{B}ddd-dddd"],
    "it": ["06 6982 dddd", "02 7234 dddd", "+39 06 6982 dddd", "+39 347 123 dddd", "011 123 dddd"],
    "ru": ["+7 (495) 123-dd-dd", "8 (495) 123-dd-dd", "8-916-123-dd-dd", "+7 916 123-dd-dd", "+7916123dddd", "8 800 555-dd-dd"],
    "zh": ["138dddddddd", "139-1234-dddd", "186 1234 dddd", "010-6552dddd", "021-5888dddd", "+86 138 1234 dddd",
    "(010) 6552-dddd"],
    "ja": ["03-5555-dddd", "090-1234-dddd", "080-9876-dddd", "06-6345-dddd", "+81 3-5555-dddd", "0120-123-ddd", "(03) 5555-dddd"],
    "ko": ["010-2345-dddd", "02-312-dddd", "031-234-dddd", "+82 10-2345-dddd", "02-2345-dddd"],
    "hi": ["+91 98765 ddddd", "98765 ddddd", "080-2345 dddd", "+91-98765-ddddd", "098765 ddddd"],
    "ar": ["+20 100 123 dddd", "0100 123 dddd", "+966 50 123 dddd", "050 123 dddd", "+971 50 123 dddd"],
    "tr": ["0532 123 dd dd", "(0532) 123 dd dd", "+90 532 123 dd dd", "0212 245 dd dd"],
    "nl": ["06-1234dddd", "020-123 dddd", "+31 6 1234dddd", "+31 20 123 dddd"],
    "pl": ["22 123 dd dd", "+48 601 234 ddd", "+48 22 123 dd dd"],
}  # fmt: skip
"""Phone numbers as written in texts of a language: d is a digit, A an area code, E an exchange, B a digit from 2 to 9."""
ANNOUNCED_PHONES = {
    "en": ["555-0ddd", "{A} {E} dddd"], "de": ["4930 123ddd", "0302345ddd"], "es": ["612 345 ddd", "912345ddd"],
    "pt": ["912 345 ddd"],
    "pl": ["601 234 ddd", "221234ddd"], "zh": ["6552dddd"], "da": ["32 12 dd dd", "3212dddd"], "no": ["22 12 dd dd",
    "912 34 ddd"],
}  # fmt: skip
"""Phone numbers that only a word before them tells from other numbers."""
_AREAS = "212 213 312 415 512 617 702 718 808 916 204 416 604 905".split()


def fill(rng: random.Random, shape: str) -> str:
    shape = (
        shape.replace("{A}", rng.choice(_AREAS))
        .replace("{E}", str(rng.randint(230, 989)))
        .replace("{B}", str(rng.randint(5, 9)))
    )
    return "".join(rng.choice("0123456789") if c == "d" else c for c in shape)


def phone(rng: random.Random, language: str) -> str:
    return fill(rng, rng.choice(PHONES[language]))


_LOCALS = (
    "ann bob.smith c_d e-f first.last+tag o'brien user123 Z.Y _office jörg.müller maría josé.garcía françois søren.å łukasz "
    "иван.петров info support no-reply a j.r.r.tolkien x_ team+lists dr.strange ünal"
).split()
_DOMAINS = (
    "example.org mail.example.co.uk EXAMPLE.COM sub-domain.example.io xn--fiqs8s.example.cn company.md empresa.com.py studio.zip "
    "startup.ai firma.sh example.rs biuro.pl app.example.app dienst.example.museum müller.de почта.рф"
    " example.in media.tv shop.example.ps "
    "example.com.br uni-köln.de mail.example.mk bücher.ch"
).split()


def email(rng: random.Random) -> str:
    local, domain = rng.choice(_LOCALS), rng.choice(_DOMAINS)
    number = str(rng.randint(1, 99)) if rng.random() < 0.5 else ""
    return f"{local}{number}@{domain}"


def ip(rng: random.Random) -> str:
    if rng.random() < 0.3:
        g = [f"{rng.randint(1, 0xFFFF):x}" for _ in range(6)]
        return rng.choice([
            f"2001:db8::{g[0]}:1", f"2001:db8:{':'.join(g)}", f"fe80::{g[0]}:{g[1]}:2", f"2a02:{g[0]}::{g[1]}",
            f"fd{rng.randint(16, 99)}:{g[0]}:{g[1]}::1",
            "2607:f8b0:4005:805::200e", f"2400:CB00:2048:1::{g[2].upper()}",
        ])  # fmt: skip
    first = rng.choice([8, 10, 17, 34, 52, 91, 100, 142, 172, 185, 192, 203, 217])
    return f"{first}.{rng.randint(0, 255)}.{rng.randint(1, 255)}.{rng.randint(1, 254)}"


VALUES: dict[str, Make] = {"email": email, "ip": ip, "card": card, "iban": iban, "national_id": national_id}


def _day(rng: random.Random) -> tuple[int, int, int]:
    return rng.randint(1940, 2035), rng.randint(1, 12), rng.randint(1, 28)


def date_like(rng: random.Random) -> str:
    y, m, d = _day(rng)
    return rng.choice([
        f"{d:02d}-{m:02d}-{y}", f"{m:02d}-{d:02d}-{y}", f"{d:02d} {m:02d} {y}", f"{d:02d}.{m:02d}.{y}", f"{y}-{m:02d}-{d:02d}",
        f"{y} {m:02d} {d:02d}",
        f"{d:02d}/{m:02d}/{y}", f"{d:02d}-{m:02d}-{y} 07:08:09", f"{y}{m:02d}{d:02d}", f"{y}-{m:02d}-{d:02d} 12:30:45",
        f"{d}. {m}. {y}",
        f"{y}-{m:02d}-{d:02d}T10:11:12.123456Z", f"{m:02d}/{d:02d}/{y} - {d:02d}/{m:02d}/{y}",
        f"{d:02d}-{m:02d}-{y} {d:02d}-{m:02d}-{y + 1}",
    ])  # fmt: skip


def row_like(rng: random.Random) -> str:
    pairs = sorted(rng.sample(range(1, 50), rng.choice([5, 6, 7])))
    return rng.choice([
        " ".join(f"{p:02d}" for p in pairs), "-".join(f"{p:02d}" for p in pairs), ".".join(f"{p:02d}" for p in pairs[:5]),
        ", ".join(f"{p:02d}" for p in pairs), " ".join(f"{rng.randint(0, 255):02X}" for _ in range(12)),
        " ".join(str(rng.randint(0, 99)) for _ in range(9)), " ".join(f"{rng.random():.2f}" for _ in range(4)),
    ])  # fmt: skip


def number_like(rng: random.Random) -> str:
    return rng.choice([
        f"ISBN 978-{rng.randint(0, 9)}-{digits(rng, 2)}-{digits(rng, 6)}-{rng.randint(0, 9)}", f"order {digits(rng, 10)}",
        f"invoice no. {digits(rng, 8)}",
        f"ticket #{digits(rng, 7)}", f"{rng.randint(1, 9)},{digits(rng, 3)},{digits(rng, 3)}", f"17{digits(rng, 8)}",
        f"17{digits(rng, 11)}",
        f"{rng.uniform(-90, 90):.6f}, {rng.uniform(-180, 180):.6f}",
        f"+{rng.randint(1, 99)}.{digits(rng, 2)} {rng.randint(1, 99)}.{digits(rng, 2)}",
        f"0.{digits(rng, 12)}", f"0x{digits(rng, 10)}", f"{digits(rng, 5)}-{digits(rng, 4)} zip",
        f"pages {rng.randint(100, 400)}-{rng.randint(500, 900)}",
        f"{rng.randint(1, 9)} {digits(rng, 3)} {digits(rng, 3)} km", f"SKU {digits(rng, 4)}-{digits(rng, 4)}",
        f"§ {rng.randint(1, 9)}.{rng.randint(1, 20)}.{rng.randint(1, 20)}",
        f"sha1 {rng.getrandbits(160):040x}", f"{rng.getrandbits(128):032x}",
        f"part 0{digits(rng, 3)}-{digits(rng, 3)}-{digits(rng, 3)}",
        f"{rng.randint(1, 12)}:{rng.randint(10, 59)}:{rng.randint(10, 59)}.{digits(rng, 6)}",
        f"€ {rng.randint(1, 99)} {digits(rng, 3)},{digits(rng, 2)}",
        f"{rng.randint(100, 999)} {digits(rng, 3)} {digits(rng, 3)} people", f"PID {digits(rng, 5)} {digits(rng, 5)}",
    ])  # fmt: skip


def address_like(rng: random.Random) -> str:
    a, b, c, d = (rng.randint(1, 30) for _ in range(4))
    return rng.choice([
        f"version {a}.{b}.{c}.{d}", f"v{a}.{b}.{c}.{d}", f"Version: {a}.{b}.{c}.{d}", f'version="{a}.{b}.{c}.{d}"',
        f"lib=={a}.{b}.{c}.{d}", f"lib-{a}.{b}.{c}.{d}.tar.gz",
        f"Chrome/{100 + a}.0.{4000 + b}.{c}", f"Tool/{a}.{b}.{c}.{d}", f"section {a}.{b}.{c}.{d}", f"§ {a}.{b}.{c}.{d}",
        f"Abschnitt {a}.{b}.{c}.{d}", f"build {a}.{b}.{c}.{d}",
        f"OID 1.3.6.1.{a}.{b}", f"255.255.{a}.0", "0.0.0.0", "127.0.0.1", "::1", "::", f"{a}.{b}.{c}.{d}.{a}",
        f"{a}.{b}.{c}.{d}-beta{a}",
        f"xs[{a}::{b}]", f"df.iloc[{a}::{b * 10}]", f"rows[::{a}]", f"tail[{a * 10}::]", f"{a}::{b} ratio", "std::vector",
        "a::b::c", "dead::beef0", f"{a:02d}:{b:02d}:{c:02d}",
        ":".join(f"{rng.randint(0, 255):02x}" for _ in range(6)), ":".join(f"{rng.randint(0, 255):02X}" for _ in range(20)),
        f"[{a}:{b}:{c}]", f">= {a}.{b}.{c}.{d}",
        f"clauses {a}.{b}.{c}.{d} and {a}.{b}.{c}.{d + 1}", f"版本{a}.{b}.{c}.{d}", f"версия {a}.{b}.{c}.{d}",
        f"FileVersion {a}.{b}.{c}.{d}",
    ])  # fmt: skip


def mail_like(rng: random.Random) -> str:
    n = rng.randint(1, 20)
    return rng.choice([
        f"logo@{n}x.png", f"icon@{n}x.md", f"react@{n}.2.0", f"@types/node@{n}.1.0", f"user{n}@localhost",
        f"getty@tty{n}.service", f"@app.route{n}", f"x{n} @ y.com",
        f"git@github.com:org/repo{n}.git", f"image@sha256:{rng.getrandbits(64):x}", f"W{n}@x.T", f"q{n}@k.transpose(0, 1)",
        f"https://social.example/@name{n}",
        f"script@v{n}.py", "docs/README@latest.md", f"backup@{n}.zip", f"user@host{n}.local", f"a{n}@b", f"name{n}@",
        f"@handle{n}", f"m{n}@n.mean()", f"pkg@^{n}.0.1", f"root@db-{n}.internal",
    ])  # fmt: skip


def identity_like(rng: random.Random) -> str:
    def wrong(make: Make, keep: int) -> str:
        """A value with one digit changed, so that its checksum fails."""
        while True:
            value = make(rng)
            places = [i for i, c in enumerate(value) if c.isdigit() and i >= keep]
            i = rng.choice(places)
            return value[:i] + str((int(value[i]) + rng.randint(1, 8)) % 10) + value[i + 1 :]

    return rng.choice([
        _wrong_card(rng), wrong(iban, 5), f"{rng.choice(['000', '666', '9' + digits(rng, 2)])}-{digits(rng, 2)}-{digits(rng, 4)}",
        f"{digits(rng, 4)}-{digits(rng, 4)}-{digits(rng, 4)}-{digits(rng, 4)}-{digits(rng, 4)}", f"GB{digits(rng, 6)}A",
        "111.111.111-11", f"{rng.getrandbits(128):032X}",
        f"9{digits(rng, 15)}", f"{digits(rng, 8)}-{digits(rng, 4)}-4{digits(rng, 3)}-a{digits(rng, 3)}-{digits(rng, 12)}",
        f"KB{digits(rng, 7)}", f"EU2016/{digits(rng, 3)}",
    ])  # fmt: skip


def _wrong_card(rng: random.Random) -> str:
    value = card(rng)
    last = int(value[-1])
    return value[:-1] + str((last + rng.randint(1, 9)) % 10)


LOOK_ALIKES: dict[str, Make] = {
    "date": date_like, "row": row_like, "number": number_like, "address": address_like, "mail": mail_like,
    "identity": identity_like,
}  # fmt: skip
