"""A labelled set of real kinds of text: logs, code, contracts, e-mail, tickets, tables and prose in ten languages and more.

Two parts share no template and no seed. `tuning` may be looked at while rules change; `held_out` is only scored.

    python -m tests.transforms.redact.labelled tuning      # scores, and what was missed or wrong
"""

from __future__ import annotations

import random
import sys
from collections import Counter

import pyarrow as pa

from corpusmill.transforms.redact.detect import TYPES, detect
from tests.transforms.redact.fixture import Labelled
from tests.transforms.redact.values import ANNOUNCED_PHONES, LOOK_ALIKES, PHONES, VALUES, fill, phone

# contexts by kind of value; {} is the value
_ANY = {
    "tuning": {
        "email": [
            "From: Ann <{}>\nTo: list", 'href="mailto:{}"', "author_email='{}',", "INFO user={} logged in",
            "Bitte an {} senden.", "请发邮件到{}联系我们。", "連絡先は{}です。",
            "Пишите на {}.", "이메일은 {}입니다", "({})", "{}, or nobody", "cc: {}; bcc: none", "- {}", "| name | {} |",
            "Scrivi a {}!", "escríbenos a {}", "اكتب إلى {} الآن", '{{"email": "{}"}}',
            "Contact:{}", "[{}](mailto:x)",
        ],
        "ip": [
            "Host {} is down", "from {}: refused", "ping {}", "服务器{}没有响应。",
            "(at {})", '<host ip="{}"/>', "src={} dport=22",
            "{} - - [10/Oct/2000:13:55:36 -0700]", "listen {};", "хост {}.",
            "ip.addr=={}", "allow from {}", "サーバー{}に接続",
            "Serveur {} injoignable", "remote_addr: {}", "server {} weight=5;",
            "nameserver {}", 'bind="{}"',
        ],
        "card": ["Card {} expires 12/27.", "pay with {}", "卡号{}已过期。",
        "カード番号{}", "No. {}, thanks", "карта {}.", 'pan="{}"',
        "Karte: {}"],
        "iban": ["IBAN {} please", "account {}.", "账号{}。", "口座{}へ", "to {}, soon", "счёт {}", "IBAN: {}\nBIC",
        "auf {} überweisen"],
        "national_id": ["ID {} on file", "number: {}.", "证件号{}。", "番号{}です",
        "({})", "номер {}", "SSN: {}", "Ausweis {}"],
    },
    "held_out": {
        "email": [
            "Reply-To: {}", "<a class='x' href='mailto:{}?subject=hi'>", "maintainer = \"{}\"",
            "WARN rejected sender {} (policy)", "Ihre Anfrage an {} wurde beantwortet", "联系邮箱：{}，谢谢",
            "メール: {}まで", "e-mail: {}", "메일 주소 {}", "écrire à {}.", "| 7 | {} | active |", "* {}", "user;{};2024",
            "scrivere a: {}", "para {}, con copia", "البريد: {}", "git config user.email {}", "“{}”",
        ],
        "ip": [
            "Accepted publickey for root from {} port 22", "upstream: {}", "curl http://{}/status" , "地址为{}的主机",
            "route add {} via eth0", "<node address='{}' />", "client={} method=GET", "blocked [{}]",
            "DNS-Server: {}", "адрес {} недоступен", "IPアドレス {} から", "{},GET,/index.html,200", "connect to {} failed",
            "L'hôte {} répond", "X-Forwarded-For: {}", "host: '{}'",
        ],
        "card": ["Please charge {} today", "信用卡 {} 被拒绝", "CC#: {}",
        "カード {} を登録", "tarjeta {} caducada", "card_number={}",
        "carte n° {}", "Kreditkarte {}, gültig"],
        "iban": ["wire it to {}", "Konto {} belasten", "compte {} fermé", "汇款至{}。", "IBAN={}", "振込先 {}", "cuenta {}",
        "перевод на {}"],
        "national_id": ["Applicant {} approved", "身份证：{}", "주민 {}",
        "DNI/ID {}", "insured person {};", "id_number='{}'",
        "документ {}", "identité {}"],
    },
}  # fmt: skip
_PHONE = {
    "tuning": {
        "*": ["{}", "({})", "Office {}", "Ann Smith, {}", "- {}", "phone: {}", "| {} |",
        "{} (home)", "x, {}.", '"phone": "{}"',
        'tel="{}"', "Fax {}"],
        "de": ["Rufen Sie {} an", "Tel.: {}", "Telefon {} oder", "Büro: {}"], "fr": ["Tél. : {}", "appelez le {} avant",
        "Bureau {}"], "es": ["Llame al {}", "Tel. {}", "Oficina: {}"],
        "zh": ["电话：{}。", "请拨打{}咨询", "联系人 {}"], "ja": ["電話番号は{}です。", "TEL {}",
        "お問い合わせは{}まで"], "ru": ["звоните {}.", "тел. {}",
        "Офис {}"], "ko": ["전화 {}", "연락처는 {}입니다"],
        "pt": ["Ligue {}", "Fone: {}"], "it": ["Tel. {}", "chiamare {}"], "hi": ["फोन {} पर",
        "मोबाइल: {}"], "ar": ["هاتف: {}",
        "اتصل على {}"], "tr": ["Tel: {}", "cep {}"], "nl": ["Bel {}"], "pl": ["tel. {}"],
    },
    "held_out": {
        "*": ["You can get me on {} after six.", "{} / ask for Lee", "Reception {}, 2nd floor",
        "Signature\nJ. Doe\n{}", "[{}]",
        "* {}", "mobile={}", "Customer: Doe; {}; Berlin", "<td>{}</td>", "Hotline {}!"],
        "de": ["unter {} erreichbar", "Mobil: {}", "Zentrale {},"], "fr": ["Joindre le {}", "Portable : {}", "Accueil {}"],
        "es": ["Móvil: {}", "contactar en el {}"],
        "zh": ["手机{}", "客服热线：{}"], "ja": ["携帯 {}",
        "代表：{}"], "ru": ["Телефон: {}", "перезвоните на {}"], "ko": ["휴대폰: {}",
        "문의 {}"],
        "pt": ["Celular {}", "Telefone: {}"], "it": ["cellulare {}", "Telefono: {}"], "hi": ["संपर्क: {}", "कॉल करें {}"],
        "ar": ["جوال {}", "للاتصال: {}"], "tr": ["Telefon: {}", "arayın {}"], "nl": ["Telefoon: {}"], "pl": ["Telefon: {}",
        "zadzwoń {}"],
    },
}  # fmt: skip
_ANNOUNCED = {
    "tuning": {"en": ["call {}", "Phone: {}"], "de": ["Tel. {}"], "es": ["teléfono {}"], "pt": ["telemóvel {}"],
    "pl": ["tel. {}"], "zh": ["电话{}"], "da": ["tlf. {}"], "no": ["mobil {}"]},
    "held_out": {"en": ["Tel {}", "dial {} now"], "de": ["Telefon: {}"], "es": ["llamar al {}"], "pt": ["telefone: {}"],
    "pl": ["Telefon: {}"], "zh": ["致电{}"], "da": ["Telefon {}"], "no": ["Tlf: {}"]},
}  # fmt: skip
_LOOK_ALIKE = {
    "tuning": {
        "*": ["{}", "see {} there", "value: {}", "({})", "| {} | ok |", "{}; next", "a = {}", "// {}", "das ist {} hier",
        "这是{}。", "текст {} текст", "- {}"],
        "date": ["Posted {}", "due {}, paid", "born {}", "vom {} bis", "le {}", "datum {}", "logged at {}"],
        "row": ["lottery {}", "draw: {}", "bytes {}", "row {}", "Gewinnzahlen {}"],
    },
    "held_out": {
        "*": ["{} was seen", "as in {}.", "x: {}", "<td>{}</td>", "[{}]", "return {};",
        "hier steht {}", "其中{}如此", "вот {} так",
        "* {}", "ici {} aussi", "こちら {} です"],
        "date": ["Released {}", "valid until {}", "geboren am {}", "fecha {}", "от {}", "created={}", "le {} à Paris"],
        "row": ["winning numbers {}", "tirage {}", "dump: {}", "scores {}", "Ziehung: {}"],
    },
}  # fmt: skip
SEEDS = {"tuning": 11, "held_out": 9173}


def labelled(part: str, size: int = 1) -> list[Labelled]:
    """1,700 values and 1,800 look-alikes for each unit of `size`, one to three of them a document."""
    rng = random.Random(SEEDS[part])
    pieces: list[tuple[str, tuple[tuple[str, str], ...]]] = []
    for _ in range(220 * size):
        for kind, make in VALUES.items():
            value = make(rng)
            pieces.append((rng.choice(_ANY[part][kind]).format(value), ((kind, value),)))
    for _ in range(28 * size):
        for language in PHONES:
            value = phone(rng, language)
            shared, own = _PHONE[part]["*"], _PHONE[part].get(language, [])
            pieces.append(
                (rng.choice(own if own and rng.random() < 0.5 else shared).format(value), (("phone", value),))
            )
    for _ in range(10 * size):
        for language, shapes in ANNOUNCED_PHONES.items():
            value = fill(rng, rng.choice(shapes))
            pieces.append((rng.choice(_ANNOUNCED[part][language]).format(value), (("phone", value),)))
    for _ in range(50 * size):
        first = f"192.0.2.{rng.randint(1, 99)}"
        last = f"192.0.2.{rng.randint(100, 254)}"
        pieces.append(
            (rng.choice(["range {}-{}", "{} - {}", "{}–{}"]).format(first, last), (("ip", first), ("ip", last)))
        )
    for _ in range(300 * size):
        for kind, make in LOOK_ALIKES.items():
            templates = _LOOK_ALIKE[part]["*"] + 2 * _LOOK_ALIKE[part].get(kind, [])
            pieces.append((rng.choice(templates).format(make(rng)), ()))
    rng.shuffle(pieces)
    out = []
    while pieces:
        taken = pieces[: rng.choice([1, 2, 3])]
        del pieces[: len(taken)]
        out.append(Labelled("\n".join(text for text, _ in taken), tuple(v for _, values in taken for v in values)))
    return out


def score(
    documents: list[Labelled],
) -> tuple[dict[str, tuple[float, float, int]], list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """((recall, precision, values) by type, what was missed, what was wrong), each as (type, value, text)."""
    hits: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    right: Counter[str] = Counter()
    missed, wrong = [], []
    texts = pa.array([d.text for d in documents])
    got: list[Counter[tuple[str, str]]] = [Counter() for _ in documents]
    data = texts.buffers()[2].to_pybytes()
    for m in detect(texts):
        got[m.row][m.type, data[m.start : m.stop].decode()] += 1
    for document, matches in zip(documents, got, strict=True):
        want = Counter(document.values)
        for counter, values in ((hits, matches), (labels, want), (right, matches & want)):
            counter.update(t for t, _ in values.elements())
        missed += [(t, v, document.text) for t, v in (want - matches).elements()]
        wrong += [(t, v, document.text) for t, v in (matches - want).elements()]
    return {t: (right[t] / labels[t], right[t] / max(1, hits[t]), labels[t]) for t in TYPES}, missed, wrong


if __name__ == "__main__":
    documents = labelled(sys.argv[1])
    figures, missed, wrong = score(documents)
    print(len(documents), "documents", sum(len(d.values) for d in documents), "values")
    for kind, (recall, precision, count) in figures.items():
        print(f"{kind:12} recall {recall:.4f} precision {precision:.4f} of {count}")
    if sys.argv[2:]:
        for name, items in (("missed", missed), ("wrong", wrong)):
            for kind, value, text in items:
                line = next((x for x in text.split("\n") if value in x), text)
                print(name, kind, repr(value), "in", repr(line[:120]))
