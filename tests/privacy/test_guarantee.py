"""What a released model guarantees: its own run, those it was made from, and what it rests on."""

import pytest

from corpusmill.privacy.accounting import Event, epsilon
from corpusmill.privacy.certification import Certification, Refusal
from corpusmill.privacy.guarantee import Guarantee, each, of_run, paragraph
from corpusmill.privacy.ledger import Ledger

RUN = Event(kind="poisson-gaussian", sigma=1.0, rate=0.01, count=300)


@pytest.fixture
def ledger(tmp_path):
    return Ledger.create(tmp_path, "letters", "user", 8.0, 1e-6)


def test_a_model_made_from_a_model_composes_both_runs_and_all_else_stands_beside(ledger):
    ledger.reserve("one", RUN, "first", "user").close(300)
    first = of_run(ledger, "one", Certification("user", assumptions=["the tokenizer is public"]))
    ledger.spend(Event(kind="gaussian", sigma=4.0), "counts", "user")
    ledger.reserve("two", RUN.times(200), "refresh", "user")
    second = of_run(ledger, "two", Certification("user"), [first])
    assert first.epsilon == pytest.approx(epsilon([RUN], 1e-6))
    assert second.epsilon == pytest.approx(epsilon([RUN.times(500)], 1e-6))
    assert second.total == ledger.spent() > second.epsilon
    assert second.runs == ("one", "two")
    assert of_run(ledger, "two", Certification("user")).runs == ("two",)  # from scratch


def test_populations_stand_side_by_side(ledger, tmp_path):
    (tmp_path / "b").mkdir()
    other = Ledger.create(tmp_path / "b", "letters", "document", 4.0, 1e-5)  # the same name, another ledger
    other.reserve("first", RUN, "base", "document")
    base = of_run(other, "first", Certification("document"))
    ledger.reserve("second", RUN, "tune", "user")
    found = of_run(ledger, "second", Certification("user"), [base])
    assert [(g.unit, g.runs) for g in each(found)] == [("user", ("second",)), ("document", ("first",))]
    assert Guarantee.model_validate_json(found.model_dump_json()) == found
    # back at the first population, by way of the second: its runs compose, however deep they stand
    other.reserve("third", RUN, "again", "document")
    back = of_run(other, "third", Certification("document"), [found, base])
    assert [(g.unit, g.runs) for g in each(back)] == [("document", ("first", "third")), ("user", ("second",))]


def test_the_paragraph_says_all_that_a_claim_needs(ledger):
    ledger.reserve("one", RUN, "first", "user")
    said = paragraph(of_run(ledger, "one", Certification("user", assumptions=["the tokenizer is public"])))
    value = epsilon([RUN], 1e-6)
    for part in (
        f"epsilon = {value:.2f} at delta = 1e-06",
        "*letters*",
        "column `user`",
        "add-or-remove",
        "pld",
        "- the tokenizer",
    ):
        assert part in said
    refused = Certification("user", refusals=[Refusal("docs", "exact", "cross", "why", "out")])
    lost = of_run(ledger, "one", refused)
    assert not lost.certified
    assert paragraph(lost).startswith("**No guarantee holds.**")
    assert not of_run(ledger, "one", Certification("user"), [lost]).certified  # training on does not mend it
