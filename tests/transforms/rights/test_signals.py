from corpusmill.transforms.rights.signals import signals


def found(page, headers=""):
    return [(f.licence, f.source) for f in signals(page, headers).licences]


def test_licences_of_links_meta_tags_and_schema_org():
    assert found('<a rel="license nofollow" href="https://creativecommons.org/licenses/by/4.0/">') == [
        ("CC-BY-4.0", "link")
    ]
    assert found("<LINK href=//opensource.org/licenses/MIT rel=license>") == [("MIT", "link")]
    assert found('<meta content="http://www.gnu.org/licenses/gpl-3.0.html" name="DCTERMS.license">') == [
        ("GPL-3.0-only", "meta")
    ]
    assert found('<script>{"license": "https:\\/\\/creativecommons.org\\/publicdomain\\/zero\\/1.0\\/"}</script>') == [
        ("CC0-1.0", "json")
    ]
    assert found('<a href="https://creativecommons.org/licenses/by/4.0/">') == []
    assert found('<meta name="description" content="Apache License, Version 2.0">') == []


def test_robots_and_reservations_of_tags_and_headers():
    page = '<meta name="Robots" content="NOAI, noimageai"><meta name="tdm-reservation" content="1">'
    said = signals(page, "")
    assert (said.robots, said.tdm, said.reserved) == (("noai", "noimageai"), True, True)
    said = signals(
        "", "X-Robots-Tag: otherbot: noindex, noarchive\r\ntdm-reservation: 0\r\nTDM-Policy: https://a.example/p"
    )
    assert (said.robots, said.tdm, said.policy, said.reserved) == (
        ("noarchive", "noindex"),
        False,
        "https://a.example/p",
        False,
    )
    assert signals('<meta name="tdm-reservation" content="1">', "tdm-reservation: 0").tdm is True
    assert signals("<p>robots tdm-reservation</p>", "").tdm is None


def test_damaged_pages_are_read():
    for page in (
        "<meta",
        "<meta name=robots",
        "<a rel=license href=",
        "<" * 100_000,
        '<meta content="' + "x" * 100_000,
    ):
        assert signals(page, ":\n::").licences == []
