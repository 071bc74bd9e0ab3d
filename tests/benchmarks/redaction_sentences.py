# ruff: noqa: E501
"""Sentences around values, for `redaction_blind`: logs, code, contracts, mail and tickets in many languages."""

# sentences by kind of value, first half open, second half blind; {} is the value
CONTEXTS = {
    "email": [
        "2024-11-02 04:11:09,113 ERROR smtp: 550 mailbox {} unavailable", '  "contact": "{}",', "The Processor shall notify {} within 72 hours.",
        "To: {}", "Ticket opened by {} via web", "Schreiben Sie bitte an {}.", "Merci d'écrire à {} avant lundi.", "お問い合わせ先：{}",
        "如有问题，请联系 {}。", "Пишите на адрес {}, ответим быстро", "Envíe su solicitud a {}.", "{}; {}",
        "postfix/smtpd[811]: NOQUEUE: reject: RCPT from unknown: <{}>", "admin_email: {}", "Notices to the Licensee are sent to {}.",
        "On Mon, 4 Mar 2024, {} wrote:", "Requester {} (priority: high)", "Rückfragen gern an {}", "répondre à {} svp", "{} 宛てに送信しました。",
        "邮箱是{}，请查收", "адрес: {}.", "responder a {} por favor", "이메일({})로 보내 주세요.",
    ],
    "ip": [
        "Failed password for invalid user admin from {} port 51122 ssh2", 'DB_HOST = "{}"', "Access is limited to the host {}.", "Received: from mail ([{}])",
        "Kunde meldet: {} antwortet nicht", "Le serveur {} ne répond plus.", "サーバー {} が応答しません", "服务器 {} 无法访问", "Сервер {} недоступен.",
        "{} - frank [10/Oct/2000:13:55:36] GET /x 200", "denied connection to {}", "- address: {}",
        "iptables -A INPUT -s {} -j DROP", "const peer = '{}';", "traffic originating at {} is logged", "Return-Path check for {} failed",
        "Nutzer mit der IP {} gesperrt", "adresse {} bannie", "{} からのアクセスを拒否", "来自 {} 的请求", "с адреса {} пришёл запрос", "ssh deploy@{}",
        "desde la dirección {}", "A record: www -> {}",
    ],
    "card": [
        "charged card {} for the renewal", "card: '{}'", "The fee is debited from card {}.", "Meine Karte {} wurde abgelehnt.", "ma carte {} est bloquée",
        "カード番号 {} です", "我的卡 {} 被吞了", "карта {} заблокирована", "PAN={} EXP=0828",
        "refund to {} pending", "cc_number = {}", "using the credit card {},", "Kartennummer: {}", "numéro de carte {}", "番号は{}です。", "卡号：{}", "номер карты {}.",
        "mi tarjeta es {}",
    ],
    "iban": [
        "Please transfer the deposit to {}.", "iban: {}", "Überweisung auf {} ist erfolgt.", "virement vers {} effectué", "口座 {} に振り込み", "请汇款到 {}",
        "перевести на {}", "payable to account {}, reference 7",
        "creditor_account='{}'", "The Buyer pays into {} within 14 days.", "Kontoverbindung: {}", "sur le compte {}.", "振込先：{}", "账户 {} 已冻结", "счёт {} закрыт",
        "a la cuenta {}",
    ],
    "national_id": [
        "applicant {} verified", "national_id: {}", "The Tenant, holder of {}, agrees", "Versichert unter {}", "numéro {} enregistré", "番号 {} を確認", "证件 {} 已登记",
        "удостоверение {}", "matched record {} in system",
        "id={} status=ok", "identified by {},", "Ausweisnummer {}.", "titulaire {} confirmé", "ID {} 照会", "身份号码：{}", "документ {} проверен", "con documento {}",
        "주민등록번호 {}",
    ],
    "plus": [
        "{}", "Signal or Telegram: {}", '  "mobile": "{}",', "Best regards,\nMara Lind\n{}", "SMS to {} failed: timeout", "Notice by fax to {}.", "Erreichbar unter {}",
        "Joignable au {}.", "连线 {}", "連絡は {} へ", "на номер {}", "user left {} as call-back",
        "({})", "callback_number: '{}'", "caller={} duration=31s", "-- \nT. Okafor | {} | Lagos", "the Agent may be reached at {}", "Sie erreichen uns: {}", "au {} svp",
        "请打 {}", "{} まで", "по номеру {}.", "al {} por la tarde", "{}로 전화 주세요",
    ],
}  # fmt: skip
PHONE_WORDS = {
    "en": ["Phone: {}", "call me on {}", "tel {}", "Telephone {} (day)", "Mobile: {}", "my cell is {}"],
    "de": ["Telefon: {}", "Handy {}", "Tel. {}", "Rufnummer {}"],
    "fr": ["Téléphone : {}", "appelez-moi au {}", "Tél. {}", "portable : {}"],
    "es": ["Teléfono: {}", "mi móvil es {}", "tel. {}", "llámame al {}"],
    "pt": ["Telefone: {}", "celular {}", "telemóvel: {}", "ligue para {}"],
    "it": ["Telefono: {}", "cellulare {}", "tel. {}", "chiamami al {}"],
    "nl": ["Telefoon: {}", "bel {}", "tel. {}", "mobiel: {}"],
    "pl": ["Telefon: {}", "tel. {}", "kom. {}", "zadzwoń: {}"],
    "tr": ["Telefon: {}", "cep: {}", "Tel: {}", "beni {} numarasından ara: {}"],
    "ru": ["Телефон: {}", "тел. {}", "звоните {}", "мобильный {}"],
    "uk": ["Телефон: {}", "тел. {}", "дзвоніть {}", "моб. {}"],
    "zh": ["电话：{}", "手机 {}", "联系电话 {}", "請撥電話 {}"],
    "ja": ["電話：{}", "TEL {}", "電話番号 {}", "携帯 {}"],
    "ko": ["전화: {}", "휴대폰 {}", "연락처 {}", "전화번호 {}"],
    "ar": ["هاتف: {}", "الهاتف {}", "جوال {}", "رقم الهاتف: {}"],
    "hi": ["फोन: {}", "मोबाइल {}", "फ़ोन नंबर {}", "संपर्क: {}"],
    "vi": ["Điện thoại: {}", "ĐT: {}", "Số điện thoại {}", "di động {}"],
    "th": ["โทร {}", "โทรศัพท์: {}", "มือถือ {}", "เบอร์โทร {}"],
    "sv": ["Telefon: {}", "tel. {}", "ring {}", "mobil {}"],
    "fi": ["Puhelin: {}", "puh. {}", "gsm {}", "soita {}"],
    "el": ["Τηλέφωνο: {}", "τηλ. {}", "κινητό {}", "καλέστε {}"],
    "he": ["טלפון: {}", "נייד {}", "טל׳ {}", "פלאפון {}"],
    "id": ["Telepon: {}", "HP {}", "Telp. {}", "hubungi {}"],
    "cs": ["Telefon: {}", "tel. {}", "mobil {}", "volejte {}"],
    "hu": ["Telefon: {}", "tel. {}", "mobil: {}", "hívjon: {}"],
    "ro": ["Telefon: {}", "tel. {}", "mobil {}", "sunați la {}"],
    "fa": ["تلفن: {}", "موبایل {}", "شماره تماس {}", "تلفن همراه: {}"],
}  # fmt: skip
"""Sentences in which a word announces a phone number; of each language those at even places are open, the others blind."""
LANGUAGES = {
    "US": "en", "GB": "en", "AU": "en", "CA": "en", "IE": "en", "NZ": "en", "IN": "hi", "DE": "de", "AT": "de", "CH": "de", "LI": "de", "FR": "fr", "BE": "nl",
    "ES": "es", "MX": "es", "AR": "es", "CO": "es", "CL": "es", "PE": "es", "VE": "es", "EC": "es", "UY": "es", "PY": "es", "BO": "es", "BR": "pt", "PT": "pt",
    "AO": "pt", "IT": "it", "NL": "nl", "PL": "pl", "TR": "tr", "RU": "ru", "KZ": "ru", "BY": "ru", "UA": "uk", "CN": "zh", "TW": "zh", "HK": "zh", "JP": "ja",
    "KR": "ko", "SA": "ar", "EG": "ar", "AE": "ar", "MA": "ar", "DZ": "ar", "JO": "ar", "IQ": "ar", "VN": "vi", "TH": "th", "SE": "sv", "FI": "fi", "GR": "el",
    "CY": "el", "IL": "he", "ID": "id", "CZ": "cs", "SK": "cs", "HU": "hu", "RO": "ro", "MD": "ro", "IR": "fa", "SN": "fr", "CI": "fr", "CM": "fr", "TN": "ar",
}  # fmt: skip
"""Language of a region's texts; English elsewhere."""
LOOK_ALIKE_CONTEXTS = [
    "{}", "see {} for details", "value: {}", "INFO  [main] processed {} ok", "x = {}", "Gemäß {} gilt dies.", "selon {},", "参见 {}。", "согласно {}", "| {} | done |",
    "({})", "refers to {}.", "'{}'", "WARN skipped {}", "return {};", "nach {} beginnt", "d'après {}", "{} を参照", "según {}", "- {}",
]  # fmt: skip
