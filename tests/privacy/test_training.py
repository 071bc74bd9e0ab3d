"""A private run from settings to the last checkpoint, on documents."""

import contextlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.privacy.accounting import epsilon
from corpusmill.privacy.anchors import head_of
from corpusmill.privacy.guarantee import Guarantee
from corpusmill.privacy.ledger import Ledger
from corpusmill.privacy.mechanisms import choice
from corpusmill.privacy.secret import Secret
from corpusmill.privacy.settings import PrivacySettings
from corpusmill.training import build
from corpusmill.training.loop import Asked
from corpusmill.training.private import train
from corpusmill.training.settings import from_mapping
from corpusmill.transforms.errors import BudgetError, PrivacyError, RecipeError, VerifyError
from tests.training.conftest import sentences, tiny, tokenizer  # noqa: F401

GUARANTEE = {
    "population": "p",
    "unit": "user",
    "adjacency": "add-or-remove",
    "epsilon": 1.0,
    "delta": 1e-4,
    "total": 1.0,
}
GUARANTEE |= {"ledger": "", "runs": (), "certified": True}


@pytest.fixture
def run(tmp_path, tokenizer):  # noqa: F811
    texts = sentences(120)
    labels = ["has rain" if "rain" in t else "dry" for t in texts]
    users = [f"u{i % 60}" for i in range(120)]
    ids = [f"d{i}" for i in range(120)]
    pq.write_table(pa.table({"id": ids, "text": texts, "label": labels, "user": users}), tmp_path / "docs.parquet")
    Ledger.create(tmp_path, "letters", "user", 4.0, 1e-4)

    def settings(**more):
        values = {"steps": 12, "data__length": 24, "batch__rows": 20, "batch__micro_rows": 16, "checkpoint__every": 4}
        values |= {"model__kind": "encoder", "model__layers": 1, "objective__name": "classification"}
        return tiny(tmp_path / "run", tmp_path / "docs.parquet", tokenizer, **{**values, "optimizer__lr": 0.02, **more})

    def privacy(**more):
        return PrivacySettings(
            **{"ledger": str(tmp_path), "unit": "user", "units": 60, "epsilon": 3.0, "max_rows": 2, **more}
        )

    return tmp_path, settings, privacy


def test_a_run_spends_what_it_says_and_writes_nothing_else_of_private_rows(run):
    folder, settings, privacy = run
    result = train(settings(), privacy())
    assert result["step"] == 12
    assert 2.97 <= result["epsilon"] <= 3.0
    ledger = Ledger(folder)
    assert ledger.entries()[0][1].rate == 20 / 60
    assert not ledger.entries()[0][2]  # closed
    assert result["epsilon"] == pytest.approx(epsilon(ledger.events(), 1e-4))
    lines = [json.loads(x) for x in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    assert not any("loss" in key for line in lines for key in line)
    assert not (folder / "run" / "secret").exists()
    assert build.load(folder / "run").classes == ["dry", "has rain"]
    with pytest.raises(PrivacyError, match="finished private run"):
        train(settings(), privacy())


def test_a_run_that_was_stopped_goes_on_bit_for_bit_and_is_charged_once(run, monkeypatch):
    folder, settings, privacy = run
    monkeypatch.setattr(Secret.__init__, "__defaults__", (bytes(range(32)),))
    train(settings(), privacy(sigma=2.0, epsilon=None), stop_at=8)
    assert (folder / "run" / "secret").exists()
    assert Ledger(folder).entries()[0][2]
    train(settings(), privacy(sigma=2.0, epsilon=None))
    assert len(Ledger(folder).entries()) == 1
    Ledger(folder).path.rename(folder / "old.jsonl")
    with pytest.raises(PrivacyError, match="is gone"):
        Ledger.create(folder, "letters", "user", 4.0, 1e-4)
    head_of(folder / "privacy.jsonl").unlink()
    next(folder.glob(".corpusmill-ledger-*")).unlink()
    Ledger.create(folder, "letters", "user", 4.0, 1e-4)
    train(settings(output=str(folder / "other")), privacy(sigma=2.0, epsilon=None))
    a, b = (build.load(folder / name).model.state_dict() for name in ("run", "other"))
    assert all(np.array_equal(a[name].numpy(), b[name].numpy()) for name in a)


def test_a_run_does_not_go_on_over_a_ledger_that_lost_lines(run):
    folder, settings, privacy = run
    train(settings(), privacy(sigma=2.0, epsilon=None), stop_at=8)
    ledger = Ledger(folder)
    for note in (head_of(ledger.path), next(folder.glob(".corpusmill-ledger-*"))):  # an attacker who knows of the notes
        note.unlink()
    ledger.path.unlink()
    Ledger.create(folder, "letters", "user", 4.0, 1e-4)
    with pytest.raises(VerifyError, match="cut, edited or begun anew"):
        train(settings(), privacy(sigma=2.0, epsilon=None))


def test_sigterm_writes_a_checkpoint_from_which_the_run_goes_on(run, monkeypatch):
    @contextlib.contextmanager
    def asked_at_once():
        asked = Asked()
        asked.signal = "SIGTERM"
        yield asked

    folder, settings, privacy = run
    with monkeypatch.context() as patch:
        patch.setattr("corpusmill.training.private.on_sigterm", asked_at_once)
        stopped = train(settings(), privacy())
    assert (stopped["step"], stopped["stopped"]) == (1, "SIGTERM")
    assert (folder / "run" / "checkpoints" / "step-00000001").is_dir()
    with pytest.raises(RecipeError, match="already holds step-00000001"):
        train(settings(resume=False), privacy())
    assert train(settings(), privacy())["step"] == 12
    assert len(Ledger(folder).entries()) == 1


def test_a_base_whose_path_holds_a_colon_hands_on_its_guarantee(run, tmp_path):
    _, settings, privacy = run
    noise = privacy(sigma=8.0, epsilon=None)
    base = settings(output=str(tmp_path / "at 10:30"), objective__name="masked", steps=1, privacy=noise.model_dump())
    train(base, noise)
    tuned = settings(tune__base=base.output, steps=1)
    train(tuned, noise)
    assert len(build.load(tuned.output).state["guarantee"]["runs"]) == 2


def test_a_resume_on_other_data_is_refused(run):
    folder, settings, privacy = run
    train(settings(), privacy(sigma=2.0, epsilon=None), stop_at=4)
    table = pq.read_table(folder / "docs.parquet")
    pq.write_table(table.slice(1), folder / "docs.parquet")
    with pytest.raises(PrivacyError, match="without noise"):
        train(settings(), privacy(sigma=2.0, epsilon=None))


def test_a_run_killed_before_its_first_checkpoint_goes_on_over_the_same_data_alone(run, monkeypatch):
    """Its secret is there and has drawn noise: the same noise on other sums would cancel in their difference."""
    folder, settings, privacy = run
    noise = privacy(sigma=2.0, epsilon=None)
    with monkeypatch.context() as patch:
        patch.setattr(
            "corpusmill.training.private.checkpoint.write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            train(settings(), noise)
    whole = pq.read_table(folder / "docs.parquet")
    pq.write_table(whole.slice(1), folder / "docs.parquet")
    with pytest.raises(PrivacyError, match=r"before its first checkpoint, under another data\..*into another folder"):
        train(settings(), noise)
    with pytest.raises(PrivacyError, match="under another data and plan and settings"):
        train(settings(optimizer__lr=0.01), privacy(sigma=2.0, epsilon=None, clip=2.0))
    assert Ledger(folder).entries()[0][2]  # what it has reserved stays reserved
    pq.write_table(whole, folder / "docs.parquet")
    assert train(settings(), noise)["step"] == 12
    assert not list((folder / "run").glob("secret*"))


def test_a_budget_that_does_not_suffice_is_refused_before_data_is_read(run):
    folder, settings, privacy = run
    (folder / "docs.parquet").unlink()
    with pytest.raises(BudgetError, match="No data was touched"):
        train(settings(), privacy(sigma=0.3, epsilon=None))
    with pytest.raises(PrivacyError, match="keeps account for the unit `user`"):
        train(settings(), privacy(unit="document"))


def test_an_error_before_the_first_step_gives_back_what_was_reserved(run):
    """The budget is not eaten by a mistake; a run that was begun keeps its reservation, whatever stops it later."""
    folder, settings, privacy = run
    with pytest.raises(PrivacyError, match="more than 1 rows"):
        train(settings(), privacy(max_rows=1))
    assert Ledger(folder).spent() == 0
    assert not (folder / "run" / "secret").exists()
    train(settings(), privacy(), stop_at=1)
    spent = Ledger(folder).spent()
    with pytest.raises(PrivacyError, match="more than 1 rows"):
        train(settings(), privacy(max_rows=1))
    assert Ledger(folder).spent() == spent > 2.9
    assert train(settings(), privacy())["step"] == 12


def test_what_breaks_the_guarantee_is_refused(run):
    _, settings, privacy = run
    with pytest.raises(RecipeError, match="patience"):
        train(settings(evaluation={"patience": 2}), privacy())
    with pytest.raises(RecipeError, match="cannot use a teacher"):
        train(settings(objective={"name": "distillation"}, model={"kind": "decoder"}), privacy())
    with pytest.raises(RecipeError, match="tie"):
        train(settings(model={"tie": True}), privacy())
    with pytest.raises(RecipeError, match=r"more than privacy\.units"):
        train(settings(), privacy(units=10))
    with pytest.raises(PrivacyError, match="more than 1 rows"):
        train(settings(), privacy(max_rows=1))
    with pytest.raises(ValueError, match="one follows from the other"):
        privacy(sigma=1.0)


def test_the_section_privacy_of_a_train_yaml_makes_a_run_private(run):
    from corpusmill.training import commands, loop

    folder, settings, _ = run
    section = {"ledger": str(folder), "unit": "user", "units": 60, "sigma": 2.0, "max_rows": 2, "what": "by section"}
    result = commands.train(settings(privacy=section))
    assert Ledger(folder).entries()[0][0]["what"] == "by section"
    assert result["sigma"] == 2.0
    with pytest.raises(RecipeError, match="without noise"):
        loop.train(settings(privacy=section))
    with pytest.raises(RecipeError, match="did you mean `sigma`"):
        settings(privacy={**section, "sigmas": 1.0})
    assert (
        from_mapping(
            {"output": "a", "data": {"train": "b"}, "privacy": {**section, "ledger": "l"}}, "/x"
        ).privacy.ledger
        == "/x/l"
    )


def test_a_precision_that_private_training_does_not_have_is_refused_and_not_ignored(run):
    folder, settings, privacy = run
    with pytest.raises(RecipeError, match=r"runtime\.precision: .*Set precision: float32"):
        train(settings(runtime__precision="bfloat16"), privacy())
    assert not Ledger(folder).entries()


@pytest.mark.parametrize("noise", ["banded", "buffered"])
def test_correlated_noise_goes_on_bit_for_bit_and_weights_are_averaged(run, monkeypatch, noise):
    folder, settings, privacy = run
    monkeypatch.setattr(Secret.__init__, "__defaults__", (bytes(range(32)),))
    asked = privacy(sigma=4.0, epsilon=None, noise=noise, bands=3, average=0.5)
    train(settings(), asked, stop_at=8)
    assert not list((folder / "run").rglob("*noise*"))
    monkeypatch.setattr(choice, "strategy_of", None)  # the strategy of the run is known
    train(settings(), asked)
    monkeypatch.undo()
    (entry,) = Ledger(folder).entries()
    assert (entry[1].kind, entry[1].bands, entry[1].count) == (f"{noise}-gaussian", 3, 12)
    monkeypatch.setattr(Secret.__init__, "__defaults__", (bytes(range(32)),))
    monkeypatch.setattr(Ledger, "reserve", lambda *args, **more: None)
    monkeypatch.setattr("corpusmill.training.private.of_run", lambda *args: Guarantee.model_validate(GUARANTEE))
    train(settings(output=str(folder / "other")), asked)
    a, b = (build.load(folder / name).model.state_dict() for name in ("run", "other"))
    assert all(np.array_equal(a[name].numpy(), b[name].numpy()) for name in a)


def test_bands_are_chosen_for_an_epsilon_and_needed_for_a_noise(run):
    _, settings, privacy = run
    result = train(settings(steps=4), privacy(noise="banded"))
    assert 2.97 <= result["epsilon"] <= 3.0
    with pytest.raises(RecipeError, match=r"privacy\.bands"):
        train(settings(output=str(run[0] / "other")), privacy(noise="banded", sigma=1.0, epsilon=None))
