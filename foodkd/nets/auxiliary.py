"""Auxiliary classifiers: what each stage alone would answer (for MLD and app; never part of an exported student)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class AuxiliaryClassifier(nn.Sequential):
    """1 x 1 convolution, norm, activation, global average pool, linear: class evidence at one stage's abstraction.

    Args:
        channels: of the stage's features.
        width: channels after the 1 x 1 convolution.
        classes: K.
    """

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, classes),
        )


class AuxiliaryClassifiers(nn.Module):
    """One network's auxiliary classifiers.

    Args:
        channels: C_l of every stage, early to late.
        stages: indices of the stages that get a classifier.
        width: channels inside each.
        classes: K.
    """

    def __init__(self, channels: Sequence[int], stages: Sequence[int], width: int, classes: int) -> None:
        super().__init__()
        self.count = len(channels)
        self.heads = nn.ModuleDict({str(s): AuxiliaryClassifier(channels[s], width, classes) for s in sorted(stages)})

    def forward(self, stages: Sequence[Tensor]) -> list[Tensor | None]:
        """[(B, C_l, H_l, W_l)] -> a list as long, of logits (B, K) where there is a classifier and None elsewhere."""
        return [self.heads[str(i)](stage.float()) if str(i) in self.heads else None for i, stage in enumerate(stages)]
