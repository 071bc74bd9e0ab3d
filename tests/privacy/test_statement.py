"""What people read of a ledger, through the command line."""

import json
import math

import pytest
from click.testing import CliRunner

from corpusmill.pipelines.commands.privacy import privacy
from corpusmill.privacy.accounting import Event, epsilon
from corpusmill.privacy.ledger import Ledger
from corpusmill.privacy.statement import plan, plot, statement, status
from corpusmill.transforms.errors import BadFileError, PrivacyError, RecipeError

RUN = Event(kind="poisson-gaussian", sigma=1.0, rate=0.01, count=500)


@pytest.fixture
def ledger(tmp_path):
    made = Ledger.create(tmp_path, "letters", "user", 3.0, 1e-6)
    made.reserve("run-1", RUN, "fine-tune on May", "user").close(300)
    made.reserve("run-2", RUN.times(100), "fine-tune on June", "user")
    return made


def call(*args: object) -> str:
    result = CliRunner().invoke(privacy, [str(a) for a in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_status_says_what_is_spent_and_left(ledger):
    found = json.loads(call("status", ledger.path.parent, "--json"))
    assert found["epsilon_spent"] == pytest.approx(epsilon([RUN.times(400)], 1e-6))
    assert found["epsilon_left"] == pytest.approx(3.0 - found["epsilon_spent"])
    assert 0 <= found["epsilon_prv"] - found["epsilon_spent"] < 0.011
    assert [r["what"] for r in found["runs"]] == ["fine-tune on May", "fine-tune on June (open: counts whole)"]
    assert "spent       1." in call("status", ledger.path)


def test_the_statement_names_unit_adjacency_budget_and_limits(ledger):
    text = call("statement", ledger.path)
    assert text.strip() == statement(ledger).strip()
    for part in (
        "column `user`",
        "add-or-remove",
        "epsilon = 1.",
        "fine-tune on June",
        "1 run(s) are not closed",
        "secret",
    ):
        assert part in text
    assert "nan" not in text
    empty = Ledger.create(ledger.path.parent / "b.jsonl", "mail", "document", 1.0, 1e-5)
    assert "nothing yet" in statement(empty)
    assert status(empty).spent == 0.0


def test_the_plan_is_a_table_and_a_plot(ledger):
    text = call(
        "plan", "--rate", 0.01, "--delta", 1e-6, "--noise", 1.0, "--noise", 2.0, "--steps", 100, "--steps", 1000
    )
    assert "2.125" in text
    assert "a: noise 1  b: noise 2" in text
    found = json.loads(
        call(
            "plan", "--ledger", ledger.path, "--rate", 0.01, "--noise", 1.0, "--steps", 100, "--epsilon", 2.0, "--json"
        )
    )
    assert found["epsilon"][0][0] == pytest.approx(epsilon([RUN.times(500)], 1e-6), abs=2e-3)
    both = [RUN.times(400), Event(kind="poisson-gaussian", sigma=found["least_noise"][0], rate=0.01, count=100)]
    assert 1.98 < epsilon(both, 1e-6) <= 2.0
    with pytest.raises(RecipeError, match="--delta"):
        CliRunner().invoke(privacy, ["plan", "--rate", "0.1"], catch_exceptions=False)


def test_a_plot_of_one_point_and_of_no_noise():
    assert "nothing to plot" in plot([[0.0]], [1e6], [1])
    assert "nothing to plot" in plot([[math.inf]], [0.0], [1])
    assert "a: noise 1" in plot([[1.0]], [1.0], [10])
    assert plan(1e-5, 0.01, [1.0], [1])[0][0] > 0


def test_a_budget_is_begun_once(tmp_path):
    args = ("budget", tmp_path, "--population", "p", "--epsilon", 3, "--delta", 1e-6)
    assert "epsilon 3" in call(*args)
    with pytest.raises(PrivacyError, match="already"):
        call(*args)


def test_the_audit_reads_scores_and_refutes_claims(tmp_path):
    rows = [{"score": float(i) + 500 * (i % 2), "member": bool(i % 2)} for i in range(400)]
    path = tmp_path / "scores.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    found = CliRunner().invoke(privacy, ["audit", str(path), "--delta", "1e-5", "--claim", "1"], standalone_mode=False)
    assert found.return_value == 1
    assert "REFUTED" in found.output
    assert json.loads(call("audit", path, "--delta", 1e-5, "--json"))["auc"] == 1.0
    path.write_text('{"value": 1}\n')
    with pytest.raises(BadFileError, match="`score` and `member`"):
        call("audit", path, "--delta", 1e-5)


def test_canaries_are_thrown_once_and_half_are_in(tmp_path):
    call("canaries", tmp_path / "c", "--count", 200)
    inside = [json.loads(x) for x in (tmp_path / "c" / "canaries.jsonl").read_text().splitlines()]
    rows = [json.loads(x) for x in (tmp_path / "c" / "members.jsonl").read_text().splitlines()]
    assert len(rows) == 200
    assert 60 < len(inside) < 140
    assert {r["id"] for r in inside} == {r["id"] for r in rows if r["member"]}
    assert len({r["text"] for r in rows}) == 200
    assert "member" not in inside[0]
    with pytest.raises(PrivacyError, match="once"):
        call("canaries", tmp_path / "c")


def test_names_in_a_ledger_forge_no_lines_and_move_no_cursor(tmp_path):
    from tests.command import invoke

    Ledger.create(str(tmp_path / "l.jsonl"), "people\nspent 0.000\x1b[2J\u202e", "document", 1.0, 1e-6)
    for verb in ("status", "statement"):
        said = invoke("privacy", verb, tmp_path / "l.jsonl").output
        assert "people" in said
        assert "\nspent 0.000\x1b" not in said
        assert not any(c in said for c in "\x1b\u202e")
        assert sum(line.startswith("spent 0.000") for line in said.splitlines()) == 0
