"""Words that stand before numbers, by language: those that announce a phone number, and those that announce another number.

Used by `phones`. All words are in lower case; `*` stands for any letters.
"""

from __future__ import annotations

import re

_PHONE = """
tel tél phone phones telephone call calls calling called dial dialled ring mobile cell cellphone fax whatsapp viber sms text texted
    hotline landline voicemail callback|reach me at|reach us at|reach him at|reach her at|reach me on|reach us on|contact
telefon* handy handynummer mobil mobilnummer mobiltelefon mobilfunk* rufnummer ruf anruf* erreichbar durchwahl festnetz
téléphone portable appelez appeler appelle joindre gsm
teléfono teléfonos telefono móvil movil celular llame llamar llama llámenos llámame contacto
cellulare cell. chiamare chiama chiami chiamami chiamate contatto recapito
telefone telemóvel ligue ligar liga contato
telefoon* mobiel bel bellen belt zadzwoń kom komórka komórkowy dzwoń cep ara arayın ringa puhelin* puh soita matkapuhelin tlf
    tlf.
volejte zavolejte hívjon hívja mobilszám mobilskt sunați sunati apelați zovite pozovite kontakt mobitel mobilni hringdu sími zvaniet
    helistage tálrunis tālrunis skambinkite telp telepon hubungi ponsel telefonu numarası numarasından tawag simu
тел телефон* моб мобильн* звон* позвон* перезвон* факс дзвон*
هاتف الهاتف هاتفي هاتفه جوال الجوال موبايل الموبايل المحمول محمول اتصل للاتصال فاكس الفاكس تلفن تلفون موبایل همراه تماس فون
फोन फ़ोन मोबाइल कॉल दूरभाष संपर्क टेलीफोन ফোন মোবাইল টেলিফোন கைபேசி தொலைபேசி ఫోన్ മൊബൈൽ ફોન
điện thoại|sđt|đt|di động|טלפון|נייד|פלאפון|סלולרי|טל|פקס|τηλέφωνο|τηλ|κινητό|καλέστε|հեռ|ტელ
"""
_PHONE_UNSPACED = """
电话 電話 手机 手機 致电 拨打 撥打 联系 热线 传真 携帯 連絡先 お問い合わせ ファックス
โทร มือถือ 전화 연락처 휴대폰 휴대전화 핸드폰 팩스 문의 ☎ 📞 📱 ✆
"""
_NUMBER = """
isbn issn ean upc gtin sku order orders invoice ticket tickets case claim ref reference serial part parts model id ids account acct
    tracking lot lottery lotto draw draws numbers batch section clause page pages pp chapter figure table code codes zip postcode
    version build commit size bytes offset port pid seq row rows score scores coordinates lat lon lng latitude longitude population
    revenue amount price total sum qty quantity weight date dated born timestamp epoch hash uuid imei vin isrc doi patent iban
    swift vat
seite seiten ziehung gewinnzahlen lottozahlen plz bestellung bestellnummer bestellnr rechnung rechnungsnummer auftrag auftragsnummer
    artikelnummer kundennummer vorgang datum geboren ust
loto tirage commande facture dossier référence siret siren né date
lotería loteria sorteo pedido factura fecha nacido fattura ordine pratica protocollo estrazione data fatura encomenda
sipariş zamówienie faktura nip regon bestelling factuur beställning
заказ* счёт* счет* накладная артикул инн кпп огрн дата тираж договор*
الطلب الفاتورة ऑर्डर चालान
"""
_NUMBER_UNSPACED = """订单 订单号 编号 单号 快递 发票 合同 注文番号 注文 伝票 번호 주문 주문번호 송장 송장번호"""
_BETWEEN = "no nr number num id nummer numéro número numero номер номера is was № n° nº رقم नंबर".split()


def _alternatives(words: str) -> str:
    """The words of a list as a pattern; a line with `|` holds phrases behind its words."""
    out: list[str] = []
    for line in words.strip().splitlines():
        first, *phrases = line.split("|")
        out += [*first.split(), *(p.strip() for p in phrases)]
    return "|".join(re.escape(w).replace(r"\*", r"\w*") for w in sorted(set(out), key=lambda w: (-len(w), w)))


PHONE_WORD = re.compile(rf"(?<![^\W_])(?:{_alternatives(_PHONE)})(?![^\W\d_])|{_alternatives(_PHONE_UNSPACED)}")
"""A word that announces a phone number, in text in lower case."""
PHONE_BEGINNINGS = frozenset(
    word[:3]
    for word in re.findall(r"[a-z]+", " ".join(re.sub(r"[^\x00-\x7f].*", "", w) for w in re.split(r"[\s|]+", _PHONE)))
)
"""The first letters, up to three, of the words of ASCII that announce a phone number, or of what is ASCII in their first part."""
NUMBER_WORD = re.compile(
    rf"(?:(?<![^\W_])(?:{_alternatives(_NUMBER)})\W{{0,3}}(?:(?:{'|'.join(map(re.escape, _BETWEEN))})\W{{0,3}}){{0,2}}"
    rf"|(?:{_alternatives(_NUMBER_UNSPACED)})[^\d\n]{{0,4}}|[#№§$€£¥₹₩]\s?|n[°º]\s?)$"
)
"""The end of a text that announces another number than a phone's."""
