"""One process or many: who this process is, how gradients and counts are summed, how parameters are gathered.

Processes are started by `torchrun`, which sets RANK, WORLD_SIZE and LOCAL_RANK. DDP keeps the whole model on each; FSDP2
(`fully_shard`) a share of every block's parameters.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from corpusmill.training.settings import RuntimeSettings
from corpusmill.transforms.errors import RecipeError


class Parallel:
    """This process among all, and its device."""

    def __init__(self, settings: RuntimeSettings) -> None:
        self.settings = settings
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.fsdp = self.world > 1 and settings.parallel == "fsdp"
        local = int(os.environ.get("LOCAL_RANK", 0))
        cuda = torch.cuda.is_available() if settings.device == "auto" else settings.device == "cuda"
        if cuda and not torch.cuda.is_available():
            raise RecipeError("runtime.device: cuda is asked for, and torch sees none. Use `auto` or `cpu`.")
        self.device = torch.device("cuda", local) if cuda else torch.device("cpu")
        if cuda:
            torch.cuda.set_device(self.device)
        self.started = self.world > 1 and not dist.is_initialized()
        if self.started:
            dist.init_process_group("nccl" if cuda else "gloo", device_id=self.device if cuda else None)
        half = settings.precision == "bfloat16" or (settings.precision == "auto" and cuda)
        self.precision = torch.bfloat16 if half else torch.float32

    def autocast(self) -> Any:
        """The context of forward passes: bfloat16 matrix products, float32 parameters, sums and losses."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model ready to train: on its device, compiled if asked, gradients averaged over processes."""
        model.to(self.device)
        if self.settings.compile:
            model.compile()
        if self.fsdp:
            from torch.distributed.fsdp import fully_shard

            for block in blocks(model):
                fully_shard(block)
            fully_shard(model)
            return model
        if self.world > 1:
            return nn.parallel.DistributedDataParallel(model, [self.device] if self.device.type == "cuda" else None)
        return model

    def put(self, batch: dict[str, np.ndarray]) -> dict[str, Tensor]:
        """The batch as tensors on the device; on the CPU they share numpy's memory."""
        tensors = {name: torch.from_numpy(np.ascontiguousarray(column)) for name, column in batch.items()}
        if self.device.type == "cuda":
            return {name: tensor.pin_memory().to(self.device, non_blocking=True) for name, tensor in tensors.items()}
        return tensors

    def seed(self, seed: int) -> None:
        """Seed the device's generator, which dropout draws from. (`torch.manual_seed` costs a millisecond.)"""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    @contextlib.contextmanager
    def accumulate(self, model: nn.Module, last: bool) -> Iterator[None]:
        """Gradients are summed over processes only in the `last` micro-batch of a step."""
        if isinstance(model, nn.parallel.DistributedDataParallel):
            with contextlib.nullcontext() if last else model.no_sync():
                yield
            return
        if self.fsdp:
            cast(Any, model).set_requires_gradient_sync(last)
        yield

    def sum(self, *values: float) -> list[float]:
        """Each value summed over all processes, in float64."""
        if self.world == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return tensor.tolist()

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.world > 1:
            dist.barrier()

    def close(self) -> None:
        """Leave the process group, if this object started it."""
        if self.started and dist.is_initialized():
            dist.destroy_process_group()


def blocks(model: nn.Module) -> list[nn.Module]:
    """The layers of a model that are sharded one by one: members of its longest lists of modules."""
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList)]
    return [block for part in lists for block in part if sum(p.numel() for p in block.parameters())]


def whole(tensor: Tensor) -> Tensor:
    """The full tensor, on the CPU, of one that may be sharded. Every process must call it."""
    full = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return full.detach().cpu().contiguous()


@torch.no_grad()
def fill(tensor: Tensor, full: Tensor) -> None:
    """Write the full tensor into one that may be sharded."""
    if hasattr(tensor, "device_mesh"):
        from torch.distributed.tensor import distribute_tensor

        sharded = cast(Any, tensor)
        full = distribute_tensor(full.to(tensor.device), sharded.device_mesh, sharded.placements)
    tensor.copy_(full)
