"""metrics.jsonl: a line as it comes, a resumed run's from its checkpoint on."""

import json

import pytest

from corpusmill.training.metrics import Metrics


@pytest.fixture
def settings(make):
    return make()


def lines(settings):
    return [json.loads(line) for line in open(f"{settings.output}/metrics.jsonl")]


def test_a_line_is_there_when_it_is_written(settings):
    with Metrics(settings, 0, 10, active=True) as metrics:
        metrics.write(1, {"loss": 0.5, "note": "x"})
        assert lines(settings) == [{"step": 1, "loss": 0.5, "note": "x"}]
        metrics.advance(0.5, 10)
        metrics.write(2, {"loss": 0.25})
    assert [line["step"] for line in lines(settings)] == [1, 2]


def test_a_resumed_run_drops_what_is_behind_its_checkpoint_and_what_was_torn(settings):
    with Metrics(settings, 0, 10, active=True) as metrics:
        for step in (1, 2, 3, 4):
            metrics.write(step, {"loss": step})
    with open(f"{settings.output}/metrics.jsonl", "a") as file:
        file.write('{"loss": 1}\n[]\n{"step": 2, "lo')
    with Metrics(settings, 2, 10, active=True) as metrics:
        assert [line["step"] for line in lines(settings)] == [1, 2]
        metrics.write(3, {"loss": 30})
    assert [(line["step"], line["loss"]) for line in lines(settings)] == [(1, 1), (2, 2), (3, 30)]
    with Metrics(settings, 0, 10, active=True):
        assert lines(settings) == []


def test_other_processes_of_a_run_write_nothing(settings, tmp_path):
    with Metrics(settings, 0, 10, active=False) as metrics:
        metrics.write(1, {"loss": 1.0})
        metrics.advance(1.0)
    assert not (tmp_path / "run").exists()


def test_numbers_go_to_tensorboard_words_do_not(settings):
    class Board:
        def __init__(self):
            self.seen = []

        def add_scalar(self, name, value, step):
            self.seen.append((name, value, step))

    with Metrics(settings, 0, 10, active=True) as metrics:
        metrics.board = board = Board()
        metrics.write(4, {"loss": 0.5, "rows": 3, "note": "x"})
    assert board.seen == [("loss", 0.5, 4), ("rows", 3, 4)]
