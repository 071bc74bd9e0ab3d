"""Recall and precision of `redact` on values of other makers: Faker's, in 70 locales, and numbers of all regions of `phonenumbers`.

    python -m tests.benchmarks.redaction_blind [--part blind] [--show]

Needs Faker and python-stdnum (`pip install faker python-stdnum`), which corpusmill does not depend on; Presidio stands beside it
where it is installed. Locales, regions and sentences are cut into two halves: `open` may be looked at while rules change, `blind`
is only scored. A phone number stands behind a plus sign or behind a word that says phone, in the language of the text; what only
its shape tells is in `tests/transforms/redact/labelled.py`. Identity numbers are those that `redact` knows, and that python-stdnum
calls valid.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.benchmarks.redaction import ours, places, report, report_peer
from tests.benchmarks.redaction_sentences import CONTEXTS, LANGUAGES, LOOK_ALIKE_CONTEXTS, PHONE_WORDS
from tests.transforms.redact.fixture import Labelled

LOCALES = """ar_AE ar_EG ar_JO ar_SA az_AZ bg_BG bn_BD bs_BA cs_CZ da_DK de_AT de_CH de_DE el_GR en_AU en_CA en_GB en_IE en_IN en_KE
    en_NG en_NZ en_PH en_PK en_US es_AR es_CL es_CO es_ES es_MX et_EE fa_IR fi_FI fil_PH fr_BE fr_CA fr_CH fr_FR he_IL hi_IN hr_HR
    hu_HU hy_AM id_ID is_IS it_IT ja_JP ka_GE ko_KR lt_LT lv_LV ne_NP nl_BE nl_NL no_NO pl_PL pt_BR pt_PT ro_RO ru_RU sk_SK sl_SI
    sq_AL sv_SE ta_IN th_TH tr_TR uk_UA vi_VN zh_CN zh_TW""".split()


def phone_numbers(rng: random.Random, part: int) -> list[tuple[str, str, str]]:
    """(kind of sentence, language, number): of every region of this half, fixed and mobile, in four forms."""
    import phonenumbers
    from phonenumbers import PhoneNumberFormat as Form
    from phonenumbers import PhoneNumberType as Type

    out = []
    for place, region in enumerate(sorted(phonenumbers.SUPPORTED_REGIONS)):
        if place % 2 != part:
            continue
        for kind in (Type.FIXED_LINE, Type.MOBILE, Type.TOLL_FREE):
            example = phonenumbers.example_number_for_type(region, kind)
            if example is None:
                continue
            for form in (Form.E164, Form.INTERNATIONAL, Form.RFC3966, Form.NATIONAL):
                number = _another(rng, example, region)
                language = LANGUAGES.get(region, "en")
                text = phonenumbers.format_number(number, form).removeprefix("tel:")
                if len(re.sub(r"\D", "", text)) >= 7:  # shorter ones are those of small islands
                    out.append((language if form == Form.NATIONAL else "plus", language, text))
    return out


def _another(rng: random.Random, example: Any, region: str) -> Any:
    """A valid number like the example, with other digits at its end."""
    import phonenumbers

    digits = phonenumbers.national_significant_number(example)
    for _ in range(20):
        tried = digits[:-4] + f"{rng.randrange(10_000):04}"
        try:
            number = phonenumbers.parse(f"+{example.country_code}{tried}", None)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number_for_region(number, region) and len(set(tried)) > 3:
            return number
    return example


def identity(rng: random.Random, fakers: dict[str, Any]) -> str:
    """An identity number of one of the eight countries."""
    import importlib

    while True:
        module, value = rng.choice(
            [
                ("us.ssn", lambda: fakers["en_US"].ssn()),
                ("cn.ric", lambda: fakers["zh_CN"].ssn()),
                ("kr.rrn", lambda: fakers["ko_KR"].ssn()),
                ("br.cpf", lambda: fakers["pt_BR"].cpf()),
                ("es.dni", lambda: fakers["es_ES"].nif()),
                ("es.nie", lambda: fakers["es_ES"].nie()),
                ("fr.nir", lambda: fakers["fr_FR"].ssn()),
                ("in_.aadhaar", lambda: " ".join(re.findall("....", fakers["en_IN"].aadhaar_id()))),
                ("gb", lambda: fakers["en_GB"].ssn()),
            ]
        )
        text = str(value())
        if module == "gb":
            if re.match(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]$", text):
                return text
        elif importlib.import_module(f"stdnum.{module}").is_valid(text):
            return text


def look_alike(rng: random.Random, f: Any) -> str:
    """What is no value of any type."""
    n = rng.randrange
    return str(
        rng.choice(
            [
                lambda: f.date(
                    pattern=rng.choice(
                        [
                            "%d.%m.%Y",
                            "%Y/%m/%d",
                            "%m-%d-%Y",
                            "%d %m %Y",
                            "%Y%m%d",
                            "%d-%m-%y",
                            "%Y.%m.%d",
                            "%Y年%m月%d日",
                        ]
                    )
                ),
                lambda: f.iso8601(),
                lambda: f.time(),
                lambda: f.date_time().strftime("%d/%b/%Y:%H:%M:%S +0000"),
                lambda: f.unix_time(),
                lambda: "ISBN " + f.isbn13(),
                lambda: "ISBN-10: " + f.isbn10(),
                lambda: f.uuid4(),
                lambda: f.mac_address(),
                lambda: f.md5(),
                lambda: f.sha256()[: n(7, 40)],
                lambda: f"{f.latitude()}, {f.longitude()}",
                lambda: f"${n(1, 10**6):,}.{n(10, 100)}",
                lambda: f.user_agent(),
                lambda: f.hex_color(),
                lambda: f.file_path(depth=3),
                lambda: f.uri(),
                lambda: "@" + f.user_name(),
                lambda: f"v{n(9)}.{n(20)}.{n(30)}",
                lambda: f"{f.word()}=={n(9)}.{n(9)}.{n(99)}.{n(9)}",
                lambda: f"pages {n(100, 400)}–{n(401, 900)}",
                lambda: f"doi:10.{n(1000, 9999)}/{f.word()}.{n(10**6, 10**7)}",
                lambda: f"arXiv:{n(10, 24)}{n(1, 13):02}.{n(10**4, 10**5)}",
                lambda: f"CVE-20{n(10, 25)}-{n(1000, 99999)}",
                lambda: f"order {n(10**8, 10**10)}",
                lambda: f"Rechnung {n(10**6, 10**9)}",
                lambda: f"facture n° {n(10**6, 10**8)}",
                lambda: f"заказ № {n(10**6, 10**9)}",
                lambda: f"订单号 {n(10**9, 10**11)}",
                lambda: f"pedido {n(10**6, 10**9)}",
                lambda: f"tracking 1Z{n(10**9, 10**10)}",
                lambda: f"{n(1, 99)},{n(1000):03},{n(1000):03}",
                lambda: f"{n(1, 99)}.{n(1000):03}.{n(1000):03} €",
                lambda: f"{n(1, 999)} {n(1000):03} {n(1000):03} Kč",
                lambda: f"{n(1, 9)}-{n(0, 9)}, {n(1, 9)}-{n(0, 9)}, {n(1, 9)}-{n(0, 9)}",
                lambda: " ".join(str(n(1, 50)) for _ in range(6)),
                lambda: f"a[{n(9)}::{n(2, 9)}]",
                lambda: f"{n(10, 99)}:{n(10, 60)}:{n(10, 60)}.{n(10**3):03}",
                lambda: f"GET /v{n(1, 4)}/items/{n(10**5, 10**9)}?page={n(100)} HTTP/1.1 200 {n(10**5)}",
                lambda: f"{f.word()}@{n(1, 9)}.{n(20)}.{n(20)}",
                lambda: f"@{f.word()}/{f.word()}@{n(1, 9)}.{n(20)}.0",
                lambda: f"{f.word()}@localhost",
                lambda: f"git@host:{f.word()}/{f.word()}.git",
                lambda: f"net {n(1, 255)}.0.0.0/8",
                lambda: f"mask 255.255.{rng.choice([0, 128, 240, 252])}.0",
                lambda: f"section {n(1, 20)}.{n(1, 20)}.{n(1, 20)}.{n(1, 20)}",
                lambda: f"0x{n(2**32):08x}",
                lambda: f"{n(2**32)}",
                lambda: f"{rng.random():.12f}",
                lambda: f"{rng.uniform(-1e6, 1e6):.3f}",
                lambda: f"1e-{n(10)}, {n(10**6)}e{n(9)}",
                lambda: f"{n(10**4, 10**5)}-{n(10**3, 10**4)}",
                lambda: f"IMEI {n(10**14, 10**15)}",
                lambda: f"build {n(10**5, 10**8)}",
                lambda: f"pid={n(10**5)} tid={n(10**5)}",
                lambda: f"({n(1900, 2025)}) {n(100, 999)}, {n(100, 999)}–{n(1000, 1999)}",
                lambda: f"{n(1, 12)}/{n(1, 28)}/{n(10, 99)} {n(1, 12)}:{n(10, 60)} PM",
                lambda: f.color_name(),
                lambda: f"{n(1, 9)}.{n(10**6):06}, {n(1, 9)}.{n(10**6):06}, {n(1, 9)}.{n(10**6):06}",
                lambda: f"SKU-{n(10**3, 10**4)}-{n(10**3, 10**4)}",
                lambda: f"std::pair<a::b, c::d{n(9)}>",
                lambda: f"{f.word()}-{n(1, 9)}.{n(20)}.{n(20)}.{n(20)}.tar.gz",
                lambda: f"{n(10, 100)}° {n(60)}′ {n(60)}″ N",
                lambda: f"EUR {n(10**3, 10**6)},{n(10, 100)}",
            ]
        )()
    )


def made(part: str, each: int = 500) -> list[Labelled]:
    """`each` values of each type, all phone numbers of the half, and four times as many look-alikes as `each` values."""
    from faker import Faker

    half = ("open", "blind").index(part)
    rng = random.Random(f"{part} 2")
    Faker.seed(rng.randrange(10**9))
    fakers = {name: Faker(name) for name in LOCALES}
    mine = LOCALES[half::2]

    def sentence(kind: str) -> str:
        """One of the sentences of this half."""
        known = CONTEXTS[kind]
        return rng.choice(known[: len(known) // 2] if half == 0 else known[len(known) // 2 :])

    def pick() -> Any:
        return fakers[rng.choice(mine)]

    makers: dict[str, Callable[[], str]] = {
        "email": lambda: rng.choice(["email", "company_email", "free_email", "ascii_safe_email"]),
        "ip": lambda: "",
        "card": lambda: "",
        "iban": lambda: "",
        "national_id": lambda: "",
    }
    values: list[tuple[str, tuple[tuple[str, str], ...]]] = []
    for kind in makers:
        for _ in range(each):
            if kind == "email":
                value = getattr(pick(), makers[kind]())()
            elif kind == "ip":
                value = rng.choice([pick().ipv4_public, pick().ipv4_private, pick().ipv6])()
                if value.startswith(("0.", "127.")) or value.endswith(".0.0") or not _allocated(value):
                    continue
            elif kind == "card":
                value = fakers["en_US"].credit_card_number(
                    rng.choice(["visa16", "mastercard", "amex", "discover", "jcb16", "diners"])
                )
                value = (
                    value
                    if rng.random() < 0.5 or len(value) != 16
                    else " ".join(value[i : i + 4] for i in range(0, 16, 4))
                )
            elif kind == "iban":
                value = pick().iban()
                while not _is_iban(
                    value
                ):  # some of Faker's makers have wrong lengths, or are of countries without IBANs
                    value = pick().iban()
                value = value if rng.random() < 0.5 else " ".join(value[i : i + 4] for i in range(0, len(value), 4))
            else:
                value = identity(rng, fakers)
            frame = sentence(kind)
            values.append((frame.replace("{}", value), ((kind, value),) * frame.count("{}")))
    numbers = phone_numbers(rng, half)
    for name in (n for n in mine if hasattr(fakers[n], "phone_number")):
        language = LANGUAGES.get(name[-2:], "en")
        for _ in range(8):
            number = re.split(r"\s*(?:x|ext\.?)\s*\d+$", fakers[name].phone_number())[0]
            if len(re.sub(r"\D", "", number)) >= 7:
                numbers.append(("plus" if number.startswith("+") else language, language, number))
    for kind, _, number in numbers:
        frame = sentence("plus") if kind == "plus" else rng.choice(PHONE_WORDS[kind][half::2])
        values.append((frame.replace("{}", number), (("phone", number),) * frame.count("{}")))
    for _ in range(5 * each):
        frame = rng.choice(LOOK_ALIKE_CONTEXTS[:10] if half == 0 else LOOK_ALIKE_CONTEXTS[10:])
        values.append((frame.replace("{}", look_alike(rng, pick())), ()))
    rng.shuffle(values)
    return [Labelled(text, found) for text, found in values]


def _is_iban(value: str) -> bool:
    """Whether python-stdnum knows the country, its length and the check digits."""
    from stdnum import iban

    return bool(iban.is_valid(value))


def _allocated(value: str) -> bool:
    """Whether an address may be that of a host; Faker draws IPv6 addresses from all bits."""
    import ipaddress

    address = ipaddress.ip_address(value)
    return address.version == 4 or address.is_global or address.is_private


def show(documents: list[Labelled]) -> None:
    """What was missed, and what was found where nothing is."""
    for document, spans in zip(documents, ours([d.text for d in documents]), strict=True):
        labels = places(document)
        for kind, a, b in labels:
            if (kind, a, b) not in spans:
                covered = any(k == kind and x < b and y > a for k, x, y in spans)
                print("cut" if covered else "missed", kind, repr(document.text[a:b]), "in", repr(document.text[:90]))
        for kind, x, y in spans:
            if not any(k == kind and x < b and y > a for k, a, b in labels):
                print("wrong", kind, repr(document.text[x:y]), "in", repr(document.text[:90]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("open", "blind"), default="blind")
    parser.add_argument("--show", action="store_true", help="print what was missed and what was wrong")
    options = parser.parse_args()
    documents = made(options.part)
    counts = Counter(kind for d in documents for kind, _ in d.values)
    print(f"{sum(counts.values())} values {dict(counts)}, {sum(not d.values for d in documents)} look-alikes")
    report("corpusmill", documents, ours)
    if options.show:
        show(documents)
        return
    report_peer(documents)


if __name__ == "__main__":
    main()
