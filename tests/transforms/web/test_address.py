import pyarrow as pa
import pytest

from corpusmill.transforms.web.address import above, addresses, domains, normal_form


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("HTTP://www.Example.org:80/a/../b/?utm_source=x&q=1#top", "https://example.org/b?q=1"),
        ("https://example.org/", "https://example.org"),
        ("http://www2.example.com/a/b.html", "https://example.com/a/b.html"),
        ("http://www.com/x", "https://www.com/x"),
        ("https://user:pw@x.org:8443/a//b/./c;jsessionid=12?x", "https://x.org:8443/a//b/c?x"),
        ("https://a.b/../../c", "https://a.b/c"),
        ("https://a.b/..", "https://a.b"),
        ("https://a.b/c/..", "https://a.b"),
        ("https://a.b/x/../../y/z/..", "https://a.b/y"),
        ("https://a.org/?b=2&&a=1&gclid=7&fbclid=8", "https://a.org?a=1&b=2"),
        ("https://a.org/%7euser/%e4%b8%ad/%2f", "https://a.org/~user/%E4%B8%AD/%2F"),
        ("https://a.org/中?文=1", "https://a.org/%E4%B8%AD?%E6%96%87=1"),
        ("https://例子.测试/", "https://xn--fsqu00a.xn--0zwm56d"),
        ("  https://a.o\nrg/x ", "https://a.org/x"),
        ("https:\\\\a.org\\b", "https://a.org/b"),
        ("http://[2001:DB8::1]:443/", "https://[2001:db8::1]"),
        ("https://a.org./x", "https://a.org/x"),
        ("https://a.org/100%", "https://a.org/100%25"),
        ("https://a.org/.well-known/x", "https://a.org/.well-known/x"),
    ],
)
def test_normal_forms(url, form):
    assert normal_form(url) == form
    assert addresses(pa.array([url])).normal.to_pylist() == [form]
    assert normal_form(form) == form  # it is its own normal form


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://a.org",
        "mailto:a@b.c",
        "//a.org",
        "https://",
        "https:///x",
        "https://a b.org",
        "https://a..b/",
        "http://a:99999999999/",
    ],
)
def test_what_is_no_address_of_the_web(url):
    assert normal_form(url) is None
    assert addresses(pa.array([url, None])).normal.to_pylist() == [None, None]


def test_arrow_rewrites_as_the_function_does():
    urls = [
        f"{scheme}://{host}{path}"
        for scheme in ("http", "https")
        for host in ("a.b", "www.a.b", "www1.a.b.c", "www.b", "www.www.b.c", "w_w.a-b.co", "wwwa.b.c", "www12.a.b")
        for path in ("", "/", "/x", "/x/", "/x/y.z", "/@a/b:c", "/x~y/(z)")
    ]
    assert addresses(pa.array(urls)).normal.to_pylist() == [normal_form(u) for u in urls]


def test_slices_and_large_strings():
    urls = pa.array(["x", "https://a.b/?c", None, "https://www.d.e/f"], pa.large_string())
    assert addresses(urls.slice(1)).host.to_pylist() == ["a.b", None, "d.e"]
    assert addresses(urls.slice(0, 0)).normal.to_pylist() == []


def test_registered_domains():
    hosts = [
        "blog.example.co.uk",
        "a.user.github.io",
        "github.io",
        "localhost",
        "10.0.0.1",
        "[::1]",
        None,
        "x.xn--fiqs8s",
    ]
    expected = ["example.co.uk", "user.github.io", "github.io", "localhost", "10.0.0.1", "[::1]", None, "x.xn--fiqs8s"]
    assert domains(pa.array(hosts)).to_pylist() == expected
    assert above("a.b.c") == ["a.b.c", "b.c", "c"]
    assert above("10.0.0.1") == ["10.0.0.1"]
