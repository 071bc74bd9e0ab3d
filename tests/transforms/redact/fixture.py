"""A labelled fixture of our own making: 1,000 sentences in four languages with made-up values, and with look-alikes.

Numbers are built with valid check digits by code of its own; nobody's data is in it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Labelled:
    """A document and the values in it: (type, the value as it stands in the text)."""

    text: str
    values: tuple[tuple[str, str], ...]


TEMPLATES = {
    "email": [
        "Write to {} today.",
        "mail:{}",
        "<{}>",
        "请发邮件到{}联系我们。",
        "連絡先は{}です。",
        "({}), or nobody",
        "почта {}, спасибо",
    ],
    "phone": [
        "Call {} now.",
        "Tel.: {}",
        "tel {};",
        "电话：{}。",
        "電話番号は{}です。",
        "Phone {} (office)",
        "звоните {}.",
    ],
    "ip": [
        "Host {} is down",
        "from {}: refused",
        "ping {}",
        "服务器{}没有响应。",
        "サーバー{}に接続",
        "(at {})",
        "хост {}.",
    ],
    "card": ["Card {} expires 12/27.", "pay with {}", "卡号{}已过期。", "カード番号{}", "No. {}, thanks", "карта {}."],
    "iban": ["IBAN {} please", "account {}.", "账号{}。", "口座{}へ", "to {}, soon", "счёт {}"],
    "national_id": ["ID {} on file", "number: {}.", "证件号{}。", "番号{}です", "({})", "номер {}"],
}
CLEAN = [
    "Released on 2024-05-31 and 05/31/2024 at 12:30:45.",
    "Build 10.0.19041.1 of version 1.2.3.4 runs on 127.0.0.1 and 0.0.0.0.",
    "GUID 6F9619FF-8B86-D011-B42D-00CF4FC964FF, error 0x80070005.",
    "The mask is 255.255.255.0; std::vector<int> a::b::c.",
    "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "ISBN 978-3-16-148410-0, pages 100-110, 1,234,567 copies, 3.14159265358979.",
    "logo@2x.png and @decorator and user@localhost and a @ b.c",
    "timestamp 1700000000 and 1700000000000, id 20240531123045",
    "ratio 16:9, 10:20:30:40, ab:cd, 00:1A:2B:3C:4D:5E",
    "01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F 10",
    "价格是12345678元，版本2.0.1，第3章第14节。",
    "2024年05月31日に1234567890を計算します。",
    "card 4111 1111 1111 1112 fails its sum, and DE89 3704 0044 0532 0130 01 too",
    "SSN 000-12-3456 and 666-12-3456 and 900-12-3456 were never issued",
    "NINO GB123456A, CPF 111.111.111-11, DNI 12345678A, id 110105194912310021",
    "RFC 5322, KB4012345, EU2016/679, A4 210 x 297, 1 000 000 and 10 000 000",
]


def _luhn_digit(body: str) -> str:
    doubled = [int(d) * (2 if i % 2 == 0 else 1) for i, d in enumerate(reversed(body))]
    return str(-sum(d - 9 if d > 9 else d for d in doubled) % 10)


def _digits(rng: random.Random, n: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(n))


def _card(rng: random.Random) -> str:
    prefix, length = rng.choice(
        [("4", 16), ("51", 16), ("2221", 16), ("34", 15), ("6011", 16), ("3530", 16), ("62", 16)]
    )
    body = prefix + _digits(rng, length - 1 - len(prefix))
    n = body + _luhn_digit(body)
    if length == 15:
        return rng.choice([n, f"{n[:4]} {n[4:10]} {n[10:]}"])
    sep = rng.choice(["", " ", "-"])
    return sep.join(n[i : i + 4] for i in range(0, 16, 4))


def _iban(rng: random.Random) -> str:
    country, bban = rng.choice(
        [
            ("DE", _digits(rng, 18)),
            ("GB", rng.choice(["WEST", "BARC"]) + _digits(rng, 14)),
            ("FR", _digits(rng, 23)),
            ("NL", "ABNA" + _digits(rng, 10)),
            ("ES", _digits(rng, 20)),
        ]
    )
    number = int("".join(str(int(c, 36)) for c in bban + country + "00"))
    n = f"{country}{98 - number % 97:02d}{bban}"
    return rng.choice([n, " ".join(n[i : i + 4] for i in range(0, len(n), 4))])


def _national(rng: random.Random) -> str:
    kind = rng.randrange(7)
    if kind == 0:
        return f"{rng.choice([101, 219, 457, 665, 772])}-{rng.randint(1, 99):02d}-{rng.randint(1, 9999):04d}"
    if kind == 1:
        n = f"{rng.choice(['AB', 'CE', 'JK', 'WM'])}{_digits(rng, 6)}{rng.choice('ABCD')}"
        return rng.choice([n, f"{n[:2]} {n[2:4]} {n[4:6]} {n[6:8]} {n[8]}"])
    if kind == 2:
        born = f"{rng.randint(1950, 2005)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"
        body = f"{rng.choice(['110105', '310115', '440304'])}{born}{_digits(rng, 3)}"
        weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
        return body + "10X98765432"[sum(int(d) * w for d, w in zip(body, weights, strict=True)) % 11]
    if kind == 3:
        body = (
            f"{rng.randint(50, 99)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}{rng.choice('12')}{_digits(rng, 5)}"
        )
        check = (
            11 - sum(int(d) * w for d, w in zip(body, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), strict=True)) % 11
        ) % 10
        return f"{body[:6]}-{body[6:]}{check}"
    if kind == 4:
        n = _digits(rng, 8) + "7"
        for _ in range(2):
            n += str(sum(int(d) * (len(n) + 1 - i) for i, d in enumerate(n)) * 10 % 11 % 10)
        return f"{n[:3]}.{n[3:6]}.{n[6:9]}-{n[9:]}"
    if kind == 5:
        n = _digits(rng, 8)
        return n + "TRWAGMYFPDXBNJZSQVHLCKE"[int(n) % 23]
    n = f"{rng.choice('12')}{rng.randint(30, 99)}{rng.randint(1, 12):02d}{rng.randint(10, 95)}{_digits(rng, 6)}"
    return f"{n}{97 - int(n) % 97:02d}"


def _phone(rng: random.Random) -> str:
    a, b = rng.randint(201, 989), rng.randint(201, 989)
    return rng.choice(
        [
            f"+1 {a} {b} {_digits(rng, 4)}",
            f"({a}) {b}-{_digits(rng, 4)}",
            f"{a}-{b}-{_digits(rng, 4)}",
            f"{a}.{b}.{_digits(rng, 4)}",
            f"+44 20 7946 {_digits(rng, 4)}",
            f"020 7946 {_digits(rng, 4)}",
            f"+49 30 {_digits(rng, 6)}",
            f"+33 6 12 34 56 {rng.randint(10, 99)}",
            f"06 12 34 56 {rng.randint(10, 99)}",
            f"138{_digits(rng, 8)}",
            f"010-6552{_digits(rng, 4)}",
            f"03-5555-{_digits(rng, 4)}",
            f"090-1234-{_digits(rng, 4)}",
            f"+8613{_digits(rng, 9)}",
        ]
    )


def _email(rng: random.Random) -> str:
    local = rng.choice(["ann", "bob.smith", "c_d", "e-f", "first.last+tag", "o'brien", "user123", "Z.Y"])
    domain = rng.choice(
        ["example.org", "mail.example.co.uk", "EXAMPLE.COM", "sub-domain.example.io", "xn--fiqs8s.example.cn"]
    )
    return f"{local}{rng.randint(1, 99)}@{domain}"


def _ip(rng: random.Random) -> str:
    if rng.random() < 0.3:
        groups = [f"{rng.randint(1, 0xFFFF):x}" for _ in range(6)]
        return rng.choice(
            [f"2001:db8::{groups[0]}:1", f"2001:db8:{':'.join(groups)}", f"fe80::{groups[0]}:{groups[1]}:2"]
        )
    return ".".join(str(rng.randint(1, 223) if i == 0 else rng.randint(0, 255)) for i in range(4)).replace(
        "127.", "128.", 1
    )


MAKERS = {"email": _email, "phone": _phone, "ip": _ip, "card": _card, "iban": _iban, "national_id": _national}


def fixture(seed: int = 7, each: int = 120) -> list[Labelled]:
    """`each` documents of each type, a quarter of them with a value of another type too, and clean ones between."""
    rng = random.Random(seed)
    out = []
    for number in range(each):
        for kind, make in MAKERS.items():
            parts = [(kind, make(rng))]
            if rng.random() < 0.25:
                other = rng.choice(sorted(MAKERS))
                parts.append((other, MAKERS[other](rng)))
            text = "\n".join(rng.choice(TEMPLATES[k]).format(v) for k, v in parts)
            out.append(Labelled(text, tuple(parts)))
        out.append(Labelled(CLEAN[number % len(CLEAN)], ()))
    return out
