"""The normal form of web addresses, their hosts and registered domains.

Two addresses with the same normal form show the same page. The form (RFC 3986, section 6, and habits of web servers):

- `http` counts as `https`; a default port, a user name, `www.` and the fragment are dropped;
- the host is lower-case ASCII (IDNA), without a dot at its end;
- `.` and `..` in the path are resolved, a slash at its end and a `;jsessionid` are dropped;
- percent escapes are upper-case; escapes of letters, digits and `-._~` are decoded, other characters beyond ASCII are escaped;
- the query has no empty and no tracking parameters (`utm_source`, `gclid`), and its parameters are sorted.

Addresses that have this form but for the scheme, `www.` and a last slash are rewritten by Arrow; the rest one by one.
"""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

TRACKING = re.compile(
    r"(?:utm_\w+|mtm_\w+|pk_\w+|gclid|gclsrc|gbraid|wbraid|dclid|fbclid|msclkid|yclid|twclid|ttclid|li_fat_id|igshid|mc_[ce]id"
    r"|_ga|_gl|_hsenc|_hsmi|mkt_tok|phpsessid|jsessionid|aspsessionid\w*|sessionid)\Z",
    re.IGNORECASE,
)
"""Names of parameters that say where a reader came from, and not what the page is."""

_PLAIN = r"^https?://(?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]*(?:/[A-Za-z0-9_~!$'()*+,@-][A-Za-z0-9._~!$'()*+,@:-]*)*/?$"
_ADDRESS = re.compile(r"https?:[/\\]{2}([^/\\?#]+)([^?#]*)(?:\?([^#]*))?", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\Z")
_WWW = re.compile(r"www\d?\.(?=[^.]+\.)")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_ODD = re.compile(r"[^A-Za-z0-9._~!$&'()*+,;=:@/%-]|%(?![0-9A-Fa-f]{2})")
_SESSION = re.compile(r";jsessionid=[^/]*", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:\.\d+){3}\Z")


class Addresses(NamedTuple):
    """normal: string [n], the normal form; host: string [n], without `www.`; both null where a value is no web address."""

    normal: pa.Array
    host: pa.Array


def addresses(values: pa.Array) -> Addresses:
    """The normal forms and hosts of strings.

    >>> found = addresses(pa.array(["HTTP://www.Example.org:80/a/../b/?utm_source=x&q=1#top", "mailto:a@b.c"]))
    >>> found.normal.to_pylist(), found.host.to_pylist()
    (['https://example.org/b?q=1', None], ['example.org', None])
    """
    values = values.cast(pa.string())
    plain = pc.fill_null(pc.match_substring_regex(values, _PLAIN), False)
    normal = pc.replace_substring_regex(values, r"^https?://(?:www\d?\.((?:[^./]+\.)+[^./]+)|([^/]+))", r"https://\1\2")
    normal = pc.replace_substring_regex(normal, "/$", "")
    odd = np.flatnonzero(~plain.to_numpy(zero_copy_only=False))
    if len(odd):
        forms = [None if v is None else normal_form(v) for v in values.take(pa.array(odd)).to_pylist()]
        normal = pc.replace_with_mask(normal, pc.invert(plain), pa.array(forms, pa.string()))
    host = pc.struct_field(pc.extract_regex(normal, r"^https://(?P<host>\[[^\]]*\]|[^/:?]+)"), "host")
    return Addresses(normal, host)


def normal_form(url: str) -> str | None:
    """The normal form of one address; None if it is no address of the web.

    >>> normal_form("https://例子.测试/%7euser/%e4%b8%ad?b=2&&a=1")
    'https://xn--fsqu00a.xn--0zwm56d/~user/%E4%B8%AD?a=1&b=2'
    """
    match = _ADDRESS.match(re.sub(r"[\t\r\n]", "", url.strip("\0 \t\r\n\f\v\xa0\ufeff")))
    if match is None:
        return None
    host, port = _host(match[1])
    if not host:
        return None
    path = _escaped(_resolved(_SESSION.sub("", match[2].replace("\\", "/")))).rstrip("/")
    query = sorted(_escaped(p) for p in (match[3] or "").split("&") if p and not TRACKING.match(p.partition("=")[0]))
    return f"https://{host}{port}{path}{'?' + '&'.join(query) if query else ''}"


def _host(authority: str) -> tuple[str, str]:
    """(host without `www.`, ":port" unless it is a default) of an authority; ("", "") if it names no host."""
    place = authority.rpartition("@")[2]
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(?::(\d{0,5}))?", place)
    if match is None:
        return "", ""
    host = _ESCAPE.sub(lambda m: chr(int(m[1], 16)), match[1]).lower().rstrip(".")
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            return "", ""
    if not host.startswith("[") and not _HOST.match(host):
        return "", ""
    return _WWW.sub("", host, count=1), "" if match[2] in (None, "", "80", "443") else f":{int(match[2])}"


def _resolved(path: str) -> str:
    """A path without `.` and `..` (RFC 3986, section 5.2.4)."""
    if "/." not in path:
        return path
    out: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del out[max(1, len(out) - 1) :]
        elif part != ".":
            out.append(part)
    return "/".join(out)


def _escaped(text: str) -> str:
    """Text with percent escapes in their normal form."""
    if "%" in text:
        text = _ESCAPE.sub(_unescaped, text)
    return _ODD.sub(lambda m: "".join(f"%{b:02X}" for b in m[0].encode("utf-8", "surrogatepass")), text)


def _unescaped(match: re.Match[str]) -> str:
    c = chr(int(match[1], 16))
    return c if c.isascii() and (c.isalnum() or c in "-._~") else match[0].upper()


def domains(hosts: pa.Array) -> pa.Array:
    """The registered domain of each host, by the public suffix list with its private part: `user.github.io` is a domain of its
    own. A number or a host that is itself a suffix stands for itself.

    >>> domains(pa.array(["blog.example.co.uk", "a.user.github.io", "localhost", "10.0.0.1", None])).to_pylist()
    ['example.co.uk', 'user.github.io', 'localhost', '10.0.0.1', None]
    """
    coded = hosts.dictionary_encode()
    known = pa.array([_domain(h) for h in coded.dictionary.to_pylist()], pa.string())
    return known.take(coded.indices)


@functools.lru_cache(1 << 16)
def _domain(host: str) -> str:
    if host.startswith("[") or _NUMBER.match(host):
        return host
    return _suffixes().privatesuffix(host) or host


@functools.cache
def _suffixes() -> Any:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


def above(host: str) -> list[str]:
    """A host and the domains above it.

    >>> above("a.example.org")
    ['a.example.org', 'example.org', 'org']
    """
    if host.startswith("[") or _NUMBER.match(host):
        return [host]
    labels = host.split(".")
    return [".".join(labels[i:]) for i in range(len(labels))]
