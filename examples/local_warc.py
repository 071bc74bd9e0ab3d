"""Writes a web archive of the HTML manuals on this machine: real pages to try the web recipe on, without a download.

    python examples/local_warc.py pages.warc.gz [--pages 400]

Looks in /usr/share/doc, in the Python environment and in Rust's toolchains, and takes pages spread evenly over the folders. Each
folder of manuals becomes a host of its own below the reserved domain `.example`. Exits with 3 if the machine has no HTML.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import sys
import uuid
from collections.abc import Iterator
from itertools import islice, zip_longest
from pathlib import Path

ROOTS = ("/usr/share/doc", sys.prefix, sys.base_prefix, str(Path.home() / ".rustup/toolchains"))
MOST_BYTES, MOST_FILES = 1 << 20, 2_000


def pages(root: Path) -> dict[str, list[Path]]:
    """HTML files below a root, by the folder of manuals that they are of."""
    found: dict[str, list[Path]] = {}
    for file in islice(root.rglob("*.html"), MOST_FILES):
        if file.is_file() and not file.is_symlink() and 500 < file.stat().st_size < MOST_BYTES:
            found.setdefault(file.relative_to(root).parts[0], []).append(file)
    return {name: sorted(files) for name, files in found.items()}


def record(url: str, html: bytes, number: int) -> bytes:
    """A response record of WARC 1.1, compressed as a frame of its own."""
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(html) + html
    digest = hashlib.sha1(html, usedforsecurity=False).hexdigest()
    head = {
        "WARC-Type": "response",
        "WARC-Record-ID": f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, url)}>",
        "WARC-Target-URI": url,
        "WARC-Date": f"2024-01-{1 + number % 28:02d}T00:00:00Z",
        "WARC-Payload-Digest": f"sha1:{digest}",
        "Content-Type": "application/http; msgtype=response",
        "Content-Length": str(len(http)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return gzip.compress(f"WARC/1.1\r\n{lines}\r\n".encode() + http + b"\r\n\r\n", mtime=0)


def chosen(most: int) -> Iterator[tuple[str, bytes]]:
    """(address, HTML) of at most so many pages, one folder after the other."""
    seen = set()
    folders = []
    for root in dict.fromkeys(Path(r).resolve() for r in ROOTS):
        for name, files in pages(root).items() if root.is_dir() else ():
            host = "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-") or "docs"
            folders.append(
                [(f"https://{host}.example/{f.relative_to(root / name)}", f) for f in files if f not in seen]
            )
            seen.update(files)
    for url, file in islice((page for row in zip_longest(*folders) for page in row if page), most):
        yield url, file.read_bytes()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pages", type=int, default=400)
    options = parser.parse_args()
    records = [record(url, html, i) for i, (url, html) in enumerate(chosen(options.pages))]
    if not records:
        print("This machine has no HTML manuals; there is nothing to write.")
        return 3
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(b"".join(records))
    print(f"{options.out}: {len(records)} pages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
