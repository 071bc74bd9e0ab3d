"""Imports and includes that lead to files of the repository, and the order that follows from them."""

import random

import pytest

from corpusmill.transforms.sources.documents.imports import Imports
from corpusmill.transforms.sources.documents.need_order import in_order

REPOSITORIES = {
    "python": (
        {
            "src/pkg/__init__.py": "from .core import run",
            "src/pkg/core.py": "import os, json\nfrom . import util as u, gone\nfrom .sub.deep import (\n    f,  # x\n    g,\n)\n",
            "src/pkg/util.py": "import numpy as np",
            "src/pkg/sub/__init__.py": "",
            "src/pkg/sub/deep.py": "from ..util import x\nfrom pkg import core",
            "tests/test_core.py": "import pkg.core\nfrom pkg.sub import deep\nimport helpers",
            "tests/helpers.py": "# import pkg.util\n'from pkg import util'",
        },
        {
            "src/pkg/__init__.py": ["src/pkg/core.py"],
            "src/pkg/core.py": ["src/pkg/sub/deep.py", "src/pkg/util.py"],
            "src/pkg/sub/deep.py": ["src/pkg/core.py", "src/pkg/util.py"],
            "tests/test_core.py": ["src/pkg/core.py", "src/pkg/sub/deep.py", "tests/helpers.py"],
        },
    ),
    "scripts": (
        {
            "src/a.ts": "import { b } from './b';\nimport type C from \"../lib/c.js\";\nexport * from './dir'\n"
            "import React from 'react'",
            "src/b.tsx": "const d = require('./d'); const e = await import('@/e')",
            "src/d.json": "{}",
            "src/e.vue": "<script>import './b'</script>",
            "src/dir/index.ts": "",
            "lib/c.ts": "",
        },
        {
            "src/a.ts": ["lib/c.ts", "src/b.tsx", "src/dir/index.ts"],
            "src/b.tsx": ["src/d.json", "src/e.vue"],
            "src/e.vue": ["src/b.tsx"],
        },
    ),
    "go": (
        {
            "go.mod": "module example.org/m\n\ngo 1.22\n",
            "main.go": 'package main\n\nimport (\n\t"fmt"\n\tx "example.org/m/inner/x" // y\n)'
            '\n\nfunc main() {\n\t"example.org/m/y"\n}',
            "inner/x/a.go": 'package x\nimport "example.org/m/y"\n',
            "inner/x/a_test.go": "package x",
            "inner/x/b.go": "package x",
            "y/y.go": "package y",
        },
        {"main.go": ["inner/x/a.go", "inner/x/b.go"], "inner/x/a.go": ["y/y.go"]},
    ),
    "java": (
        {
            "app/src/main/java/org/e/A.java": "package org.e;\nimport org.e.b.B;\nimport static org.e.C.run;\n"
            "import java.util.*;\nimport org.e.d.*;",
            "app/src/main/java/org/e/b/B.java": "",
            "app/src/main/java/org/e/C.kt": "",
            "app/src/main/java/org/e/d/D.java": "",
        },
        {
            "app/src/main/java/org/e/A.java": [
                "app/src/main/java/org/e/C.kt",
                "app/src/main/java/org/e/b/B.java",
                "app/src/main/java/org/e/d/D.java",
            ]
        },
    ),
    "c": (
        {
            "src/a.c": '#include <stdio.h>\n#include "a.h"\n# include <proj/b.h>\n#include "../lib/c.hpp"\n',
            "src/a.h": '#include "deep/d.h"',
            "include/proj/b.h": "",
            "lib/c.hpp": "",
            "lib/x/deep/d.h": "",
        },
        {"src/a.c": ["include/proj/b.h", "lib/c.hpp", "src/a.h"], "src/a.h": ["lib/x/deep/d.h"]},
    ),
    "rust": (
        {
            "src/main.rs": "mod a;\npub mod b;\nuse crate::a::inner::f;",
            "src/a/mod.rs": "mod inner;",
            "src/a/inner.rs": "use super::super::b;\nuse crate::b::x;",
            "src/b.rs": "",
        },
        {
            "src/main.rs": ["src/a/inner.rs", "src/a/mod.rs", "src/b.rs"],
            "src/a/mod.rs": ["src/a/inner.rs"],
            "src/a/inner.rs": ["src/b.rs"],
        },
    ),
    "ruby": ({"lib/a.rb": "require 'json'\nrequire_relative 'b/c'", "lib/b/c.rb": ""}, {"lib/a.rb": ["lib/b/c.rb"]}),
}


@pytest.mark.parametrize("language", REPOSITORIES)
def test_what_a_file_needs_is_found_among_the_files(language):
    files, wanted = REPOSITORIES[language]
    imports = Imports(files)
    assert {path: found for path in files if (found := imports.of(path))} == wanted


def test_each_file_stands_behind_what_it_needs_whatever_the_graph():
    rng = random.Random(1)
    for _ in range(200):
        names = [f"f{i:02}" for i in range(rng.randrange(1, 30))]
        needs = {n: rng.sample(names, rng.randrange(min(4, len(names)))) + ["absent"] for n in names}
        order = in_order(needs)
        assert sorted(order) == names
        assert order == in_order(dict(reversed(needs.items())))
        place = {n: i for i, n in enumerate(order)}

        def reaches(a, b, needs=needs):
            seen, todo = set(), [a]
            while todo:
                for other in needs.get(todo.pop(), []):
                    if other not in seen:
                        seen.add(other)
                        todo.append(other)
            return b in seen

        for name in names:
            for other in needs[name]:
                if other in place and place[other] > place[name]:
                    assert reaches(other, name)  # only in a circle


def test_a_long_chain_and_a_large_circle_need_no_recursion():
    names = [f"{i:05}" for i in range(20_000)]
    chain = {n: [m] for n, m in zip(names, names[1:])} | {names[-1]: []}
    assert in_order(chain) == names[::-1]
    assert in_order(chain | {names[-1]: [names[0]]}) == names
