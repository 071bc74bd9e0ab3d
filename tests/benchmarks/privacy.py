"""CPU seconds and peak memory of a private step, beside plain training and bare Opacus on the same model.

    python -m tests.benchmarks.privacy              all variants, each in a process of its own
    python -m tests.benchmarks.privacy VARIANT      one
    python -m tests.benchmarks.privacy beside       hooks over opacus-hooks, a step of each in turn in one process

5.3 M parameters, 32 rows of 128 tokens, one thread; the median of several steps behind a first one that is not counted.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

VARIANTS = ("plain", "opacus-hooks", "hooks", "opacus-ghost", "ghost", "opacus-fast", "fast")
ROWS, LENGTH, STEPS = 32, 128, 3


def stepper(variant: str) -> Callable[[int], None]:
    """A function that does step number n."""
    import torch

    torch.set_num_threads(1)
    from corpusmill.privacy.dp_settings import DpSettings
    from corpusmill.privacy.secret import Secret
    from corpusmill.privacy.sgd import Private
    from corpusmill.privacy.units import Units
    from corpusmill.training.model import Transformer
    from corpusmill.training.settings import ModelSettings

    net = Transformer(ModelSettings(kind="decoder", layers=6, width=256, heads=4, vocabulary=1024)).train()
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 1024, (ROWS, LENGTH + 1), generator=generator)
    batch = {"input_ids": ids[:, :-1].contiguous(), "labels": ids[:, 1:].contiguous()}

    def losses(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        logits = model(batch["input_ids"])
        flat = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), reduction="none")
        return flat.view(batch["labels"].shape).mean(1)

    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    if variant == "plain":

        def step(number: int) -> None:
            losses(net, batch).mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    elif variant.startswith("opacus"):
        from opacus.grad_sample import GradSampleModule
        from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import GradSampleModuleFastGradientClipping
        from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping

        settings = {"noise_multiplier": 1.0, "max_grad_norm": 1.0, "expected_batch_size": ROWS}
        if variant == "opacus-hooks":
            wrapped = GradSampleModule(net)
            private = DPOptimizer(optimizer, **settings)

            def step(number: int) -> None:
                losses(wrapped, batch).mean().backward()
                private.step()
                private.zero_grad()

        else:
            fast = GradSampleModuleFastGradientClipping(
                net, max_grad_norm=1.0, use_ghost_clipping=variant == "opacus-ghost"
            )
            private = DPOptimizerFastGradientClipping(optimizer, **settings)

            def step(number: int) -> None:
                each = losses(fast, batch)
                each.mean().backward(retain_graph=True)
                private.zero_grad()
                factor = fast.get_clipping_coef()
                fast.disable_hooks()
                (factor * each).sum().backward()
                fast.enable_hooks()
                private.step()
                private.zero_grad()

    else:
        plan = DpSettings(steps=10, rate=1.0, sigma=1.0, units=ROWS, micro_rows=ROWS, mode=variant)
        ours = Private(net, plan, Units(np.arange(ROWS)), Secret())
        ours._checked = True  # the model is known to be right

        def step(number: int) -> None:
            for rows in ours.begin(number):
                some = {name: column[torch.from_numpy(rows)] for name, column in batch.items()}
                ours.add(lambda some=some: losses(net, some), rows)
            ours.finish()
            optimizer.step()
            optimizer.zero_grad()

    return step


def seconds(step: Callable[[int], None], number: int) -> float:
    """CPU seconds of a step."""
    began = time.process_time()
    step(number)
    return time.process_time() - began


def beside(steps: int = 7) -> dict[str, float]:
    """CPU seconds of a step of bare Opacus and of ours, and the median of their ratios."""
    bare, ours = stepper("opacus-hooks"), stepper("hooks")
    taken = np.array([[seconds(bare, number), seconds(ours, number)] for number in range(steps + 1)])[1:]
    both = np.median(taken, axis=0)
    return {"opacus": both[0], "hooks": both[1], "ratio": float(np.median(taken[:, 1] / taken[:, 0]))}


def one(variant: str) -> dict[str, float]:
    """CPU seconds of a step, and the peak memory of the process in MB."""
    step = stepper(variant)
    taken = [seconds(step, number) for number in range(STEPS + 1)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": float(np.median(taken[1:])), "peak_mb": peak}


def main() -> None:
    """Print a Markdown table, with each figure over plain training."""
    if len(sys.argv) > 1:
        print(json.dumps(beside() if sys.argv[1] == "beside" else one(sys.argv[1])))
        return
    plain: dict[str, float] = {}
    print("| step | CPU s | over plain | peak MB | over plain |\n|---|--:|--:|--:|--:|")
    for variant in VARIANTS:
        out = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.privacy", variant], capture_output=True, check=True
        )
        found = json.loads(out.stdout)
        plain = plain or found
        print(
            f"| {variant} | {found['seconds']:.2f} | {found['seconds'] / plain['seconds']:.2f} | {found['peak_mb']:.0f} | "
            f"{found['peak_mb'] / plain['peak_mb']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
