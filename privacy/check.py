"""The check before private training: gradients of units against rows that went through the model alone."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from corpusmill.privacy.dp_settings import Mode
from corpusmill.privacy.gradients import gradients_of
from corpusmill.privacy.hooks import Gradients
from corpusmill.privacy.layout import Layout
from corpusmill.transforms.errors import PrivacyError

Loss = Callable[[nn.Module, dict[str, Tensor]], Tensor]
"""Of (model, batch): one loss a row, [B]; a mean over the row's own tokens, never over the batch's."""


def check(
    model: nn.Module, loss: Loss, batch: dict[str, Tensor], mode: Mode = "hooks", gradients: Gradients | None = None
) -> float:
    """The largest relative error of the gradients of units against rows that went through the model alone.

    It compares single rows at the current weights. At weights moved by random numbers it compares single rows and a unit of several
    rows: where a factor is 0 at first (LoRA's B, a gate), the current weights show nothing of what is behind it. The model, its
    gradients and torch's generator stay as they were.

    Args:
        batch: columns of at least two rows that differ.

    Raises:
        PrivacyError: a row's loss depends on the others, or a parameter's gradient differs by more than 1e-3 of its norm: weights
            used outside of their layer (`F.linear(x, embedding.weight)`), or what is computed once for all rows.
    """
    sizes = {len(column) for column in batch.values()}
    if len(sizes) != 1 or min(sizes) < 2:
        raise PrivacyError("the check needs a batch of at least two rows, all columns of one length.")
    # a batch as long as its rows are would let what has no batch dimension pass by accident
    inner = {n for column in batch.values() for n in column.shape[1:]}
    count = next(n for n in range(3, len(inner) + 4) if n not in inner)
    index = torch.arange(count) % 2
    batch = {name: column[index.to(column.device)] for name, column in batch.items()}
    if all(torch.equal(column[0], column[1]) for column in batch.values()):
        raise PrivacyError("the check needs two rows that differ.")
    own = gradients or gradients_of(model, mode)
    before = {p: p.grad for p in own.names}
    was = model.training
    alone, unit = np.arange(count), np.maximum(np.arange(count) - 1, 0)  # the second: rows 0 and 1 are one unit
    try:
        with _without_dropout():
            model.train()
            worst = _compare(model, loss, batch, own, alone)
            with _moved(list(own.names)):
                worst = max(worst, *(_compare(model, loss, batch, own, of_row) for of_row in (alone, unit)))
    finally:
        for p, grad in before.items():
            p.grad = grad
        model.train(was)
        if gradients is None:
            own.close()
    return worst


def _compare(model: nn.Module, loss: Loss, batch: dict[str, Tensor], own: Gradients, of_row: np.ndarray) -> float:
    """The largest relative error of the gradients of units; of_row: the unit of each row. Raises as `check`."""
    names, count = own.names, len(of_row)
    truths: list[dict[nn.Parameter, Tensor]] = []
    losses = []
    for i in range(count):
        for p in names:
            p.grad = None
        single = loss(model, {name: column[i : i + 1] for name, column in batch.items()})
        if single.shape != (1,):
            raise PrivacyError(
                f"the loss of one row has shape {tuple(single.shape)}, not (1,). Give one loss a row: a mean over the "
                "row's own tokens, not over the batch."
            )
        single.sum().backward()
        losses.append(float(single.detach()[0]))
        truths.append({p: torch.zeros_like(p) if p.grad is None else p.grad for p in names})
    together = own.backward(lambda: loss(model, batch), Layout.of(of_row))
    for i, value in enumerate(losses):
        if abs(float(together[i]) - value) > 1e-4 * max(1.0, abs(value)):
            raise PrivacyError(
                f"the loss of a row is {value:.6g} alone and {float(together[i]):.6g} among others. Divide by "
                "the row's own number of tokens, not by the batch's, and let no layer mix rows."
            )
    norms, worst = own.norms(), 0.0
    units = int(of_row.max()) + 1
    for u in range(units):
        rows = np.flatnonzero(of_row == u)
        one = torch.zeros(units)
        one[u] = 1.0
        sums = {p: torch.zeros_like(p) for p in names}
        for p, part in own.weighted(dict.fromkeys(names, one.to(next(iter(names)).device))):
            sums[p] = sums[p] + part
        truth = {p: torch.stack([truths[i][p] for i in rows]).mean(0) for p in names}
        size = math.sqrt(sum(float(t.square().sum()) for t in truth.values()))
        for p, name in names.items():
            scale = max(float(truth[p].norm()), 1e-3 * size, 1e-12)
            error = max(
                float((sums[p] - truth[p]).norm()) / scale,
                abs(float(norms[p][u]) - float(truth[p].norm())) / scale,
            )
            worst = max(worst, error)
            if not error < 1e-3:
                raise PrivacyError(
                    f"{name}: its per-sample gradient is off by {error:.1%}. A weight that is used outside of its own "
                    "layer (tied by F.linear), or something computed once for the whole batch, is the usual cause: "
                    "untie the weights, expand positions to the batch, or freeze this parameter."
                )
    return worst


@contextlib.contextmanager
def _moved(parameters: list[nn.Parameter]) -> Iterator[None]:
    """The parameters moved by normal numbers of about half the size of a usual initialisation, then as they were."""
    generator = torch.Generator().manual_seed(1)
    kept = [p.detach().clone() for p in parameters]
    try:
        with torch.no_grad():
            for p in parameters:
                deviation = 0.5 / math.sqrt(p[0].numel()) if p.dim() > 1 else 0.1
                p.add_(torch.randn(p.shape, generator=generator).to(p) * deviation)
        yield
    finally:
        with torch.no_grad():
            for p, value in zip(parameters, kept):
                p.copy_(value)


@contextlib.contextmanager
def _without_dropout() -> Iterator[None]:
    """Dropout off, in layers and in functions (Llama's attention, BART); torch's generator as it was afterwards."""
    state = torch.get_rng_state()
    try:
        with _NoDropout():
            yield
    finally:
        torch.set_rng_state(state)


class _NoDropout(TorchFunctionMode):
    """Calls of dropout give their input; attention drops nothing."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if "dropout" in name:
            return args[0] if args else given["input"]
        if name == "scaled_dot_product_attention":
            if len(args) > 4:
                args = (*args[:4], 0.0, *args[5:])
            else:
                given["dropout_p"] = 0.0
        return func(*args, **given)
