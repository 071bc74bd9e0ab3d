import pytest

from corpusmill.transforms.rights.expressions import allows


@pytest.mark.parametrize(
    ("expression", "wanted", "answer"),
    [
        ("MIT", ("MIT",), True),
        ("mit", ("MIT",), True),
        ("CC-BY-SA-4.0", ("CC-BY-*",), True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", ("GPL-*",), True),
        ("MIT AND (GPL-2.0-only OR BSD-3-Clause)", ("MIT", "BSD-*"), True),
        ("MIT AND GPL-2.0-only OR ISC", ("ISC",), True),
        ("(MIT", ("MIT",), False),
        ("MIT GPL-2.0-only", ("MIT",), False),
        ("", ("*",), False),
        ("(" * 10_000, ("*",), False),
    ],
)
def test_expressions(expression, wanted, answer):
    assert allows(expression, wanted) is answer
