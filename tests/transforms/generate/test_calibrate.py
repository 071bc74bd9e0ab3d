"""Temperatures and thresholds from held-out labels."""

from __future__ import annotations

import numpy as np
import pytest

from corpusmill.transforms.generate.calibrate import calibration_error, fit_temperature, predict, threshold


def test_temperature_is_found_and_calibrates() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 5)) * 2
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (p.cumsum(1) > rng.random((4000, 1))).argmax(1)
    assert fit_temperature(logits * 3, labels) == pytest.approx(3.0, rel=0.05)
    raw_class, raw = predict(logits * 3)
    good_class, good = predict(logits * 3, 3.0)
    assert (raw_class == good_class).all()
    assert calibration_error(good, good_class == labels) < 0.03 < 0.15 < calibration_error(raw, raw_class == labels)


def test_threshold_keeps_its_promise() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.random(2000)
    right = rng.random(2000) < confidence
    limit = threshold(confidence, right, 0.9)
    assert right[confidence >= limit].mean() >= 0.9
    assert (confidence >= limit).sum() > 200
    assert threshold(np.array([0.5, 0.5]), np.array([True, False]), 0.9) == np.inf
    assert threshold(np.zeros(0), np.zeros(0, bool), 0.9) == np.inf
