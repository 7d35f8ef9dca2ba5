"""One network's optimiser: its parameter groups, its schedule as a pure function of progress, its own clipping."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import cast

import torch
from torch import nn

from foodkd.distill import JointDistiller
from foodkd.nets import TappedClassifier
from foodkd.train.recipe import LearningSettings, TrainSettings

LAST = 1e-3
"""The learning rate ends at this share of its peak."""


class Learner:
    """AdamW for one network and the parts that belong to it (auxiliary classifiers, projections).

    Args:
        name: "teacher" or "student", one that learns.
        distiller: holds the networks.
        settings: how the network learns.
    """

    def __init__(self, name: str, distiller: JointDistiller, settings: LearningSettings) -> None:
        self.settings = settings
        network = cast(TappedClassifier, distiller.networks[name])
        started = len(network.fresh) < len(list(network.network.parameters()))
        fresh = {f"network.{key}" for key in network.fresh} if started else set()
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for key, parameter in network.named_parameters():
            if not parameter.requires_grad:  # a frozen stage
                continue
            groups.setdefault((key in fresh, parameter.ndim > 1), []).append(parameter)
        for parameter in _belonging(name, distiller):
            groups.setdefault((started, parameter.ndim > 1), []).append(parameter)
        self.parameters = [parameter for group in groups.values() for parameter in group]
        self.optimizer = torch.optim.AdamW(
            [
                {
                    "params": parameters,
                    "factor": settings.fresh_factor if is_fresh else 1.0,
                    "weight_decay": settings.weight_decay if is_matrix else 0.0,
                }
                for (is_fresh, is_matrix), parameters in sorted(groups.items())
            ],
            lr=settings.rate,
            fused=True,  # every parameter read and written once: half the time on a processor
        )

    def set_rate(self, factor: float) -> None:
        """Set every group's learning rate to `factor` times its peak."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate * group["factor"] * factor

    def step(self) -> float:
        """Clip, step, forget the gradients; returns the gradient's norm before clipping."""
        norm = nn.utils.clip_grad_norm_(self.parameters, self.settings.clip or math.inf)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(norm)


def _belonging(name: str, distiller: JointDistiller) -> Iterator[nn.Parameter]:
    """Of a network's auxiliary classifiers and projections; a frozen teacher's classifiers learn with the student."""
    extras = [(name, distiller.auxiliary), (name, distiller.projections)]
    if distiller.settings.mode == "one-way":
        extras.append(("teacher", distiller.auxiliary))
    for owner, extra in extras:
        yield from extra[owner].parameters() if owner in extra else ()


def rate_factor(settings: TrainSettings, progress: float) -> float:
    """The learning rate as a share of its peak, at a progress in [0, 1].

    "one-cycle" (Smith, 2018) rises from 1/25 over `warmup` on a half cosine and falls on another; "cosine" only falls,
    "constant" only rises.
    """
    warm = 0.0 if settings.schedule == "cosine" else settings.warmup
    if progress < warm:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * progress / warm)) / 2
    if settings.schedule == "constant":
        return 1.0
    left = (progress - warm) / (1 - warm)
    return LAST + (1 - LAST) * (1 + math.cos(math.pi * min(left, 1.0))) / 2


def averaged(decay: float, averages: Iterable[torch.Tensor], current: Iterable[torch.Tensor], updates: int) -> None:
    """One step of the exponential moving average, in place; its decay grows from 0.1 so that early steps don't linger.

    Args:
        decay: the final decay.
        averages: tensors to move.
        current: tensors to move towards, in the same order.
        updates: how many came before.
    """
    weight = 1 - min(decay, (1 + updates) / (10 + updates))
    pairs = list(zip(averages, current, strict=True))
    floats = [(a, c) for a, c in pairs if a.is_floating_point()]
    torch._foreach_lerp_([a for a, _ in floats], [c for _, c in floats], weight)
    for average, value in pairs:
        if not average.is_floating_point():
            average.copy_(value)
