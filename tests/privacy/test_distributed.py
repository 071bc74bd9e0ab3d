"""Several processes make the step that one makes."""

import subprocess
import sys
from pathlib import Path

import torch

WORKER = """
import sys
import numpy as np, torch, torch.distributed as dist
from corpusmill.privacy.secret import Secret
from corpusmill.privacy.dp_settings import DpSettings
from corpusmill.privacy.sgd import Private
from corpusmill.privacy.units import Units
from tests.privacy.models import model, row_losses, rows, take
torch.set_num_threads(1)
rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if world > 1:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
net, batch = model("decoder"), rows("decoder", 12)
plan = DpSettings(steps=3, rate=0.3, sigma=1.0, units=6, clipping="adaptive", max_rows=2, mode="ghost", micro_rows=4)
private = Private(net, plan, Units(np.arange(12) // 2), Secret(bytes(32)), rank=rank, world=world)
private.check(row_losses, take(batch, slice(0, 2)))
for step in range(3):  # with so few units some process is without any
    for some in private.begin(step):
        private.add(lambda some=some: row_losses(net, take(batch, torch.from_numpy(some))), some)
    private.finish()
    with torch.no_grad():
        for p in net.parameters():
            p -= 0.1 * p.grad
flat = torch.cat([p.detach().flatten() for p in net.parameters()] + [torch.tensor([private.clip])])
torch.save(flat, f"{folder}/result-{world}-{rank}")
if world > 1:
    dist.destroy_process_group()
"""


def test_two_processes_make_the_step_of_one(tmp_path, monkeypatch):
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", WORKER]
    workers = [subprocess.Popen([*command, str(rank), "2", str(tmp_path)], cwd=root) for rank in range(2)]
    monkeypatch.setattr(sys, "argv", ["-c", "0", "1", str(tmp_path)])
    exec(WORKER, {})
    assert [w.wait(500) for w in workers] == [0, 0]
    one, first, second = (torch.load(tmp_path / f"result-{n}", weights_only=True) for n in ("1-0", "2-0", "2-1"))
    assert torch.equal(first, second)
    assert torch.allclose(one, first, atol=1e-5, rtol=1e-5)
