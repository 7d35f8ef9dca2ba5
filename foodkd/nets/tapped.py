"""One forward pass: logits, stage features and, on demand, class activation maps."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from foodkd.errors import FoodkdError
from foodkd.nets.families import Family, Timm
from foodkd.nets.geometry import Stage, Trace, trace


class Tapped(NamedTuple):
    """What one pass gives.

    Attributes:
        logits: (B, K), after dropout in training.
        stages: (B, C_l, H_l, W_l) early to late; the last is what the head pools.
        clean: (B, K) without dropout; what distillation aims at. In eval the same tensor as `logits`.
    """

    logits: Tensor
    stages: tuple[Tensor, ...]
    clean: Tensor


def centred(logits: Tensor) -> Tensor:
    """Logits (..., K) less their mean over the classes: each class's lead over the average class.

    A number added to all logits changes no probability, so nothing is lost: this is the one choice of that number that
    does not depend on how a network happened to be trained.
    """
    return logits - logits.mean(-1, keepdim=True)


class TappedClassifier(nn.Module):
    """A classifier whose stages come from the same pass that classifies. Sets no hook and leaves the network as it is.

    Example:
        network = build_network("mobilenet_v2", 101, output_stride=16)
        logits, stages, _ = network(torch.rand(2, 3, 128, 128))
        maps = network.activation_maps(stages[-1], logits.topk(5).indices)   # (2, 5, 8, 8)

    Args:
        network: the backbone with its classifier.
        family: how it runs.
        taps: names of the blocks that end its stages.
        dropout: probability before the last linear layer; None takes the backbone's own.
        fresh: names of the parameters that no starting weights filled.
    """

    def __init__(
        self,
        network: nn.Module,
        family: Family | Timm,
        taps: tuple[str, ...],
        *,
        dropout: float | None = None,
        fresh: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self.family = family
        self.taps = taps
        self.fresh = fresh
        own = [module.p for module in network.modules() if isinstance(module, nn.Dropout)]
        self.dropout = nn.Dropout(dropout if dropout is not None else own[-1] if own else 0.0)
        self._frozen: tuple[nn.Module, ...] = ()
        self._traces: dict[int, Trace] = {}

    @property
    def last(self) -> nn.Linear:
        """The last linear layer: weight (K, C), bias (K,)."""
        return cast(nn.Linear, self.network.get_submodule(self.family.last))

    @property
    def head_weight(self) -> Tensor:
        """(K, C)."""
        return self.last.weight

    @property
    def head_bias(self) -> Tensor:
        """(K,)."""
        return self.last.bias

    @property
    def centred_head(self) -> tuple[Tensor, Tensor]:
        """Weight (K, C) and bias (K,) of the last linear layer less their means over the classes, float32.

        They give the logits less their mean (`centred`), so the same probabilities.
        """
        weight, bias = self.head_weight.float(), self.head_bias.float()
        return weight - weight.mean(0), bias - bias.mean()

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return self.last.out_features

    @property
    def additive(self) -> bool:
        """Whether the last features are averaged and meet the linear layer at once: then maps add up to logits."""
        return not self._pools_more_than_a_mean

    def freeze(self, stages: int) -> None:
        """Keep the first `stages` stages as they are: no gradients, batch norm in eval in every mode.

        Early layers change least in fine-tuning and cost most, having the largest maps: with the first stage frozen a
        step of MobileNetV2 takes about a quarter less.

        Raises:
            FoodkdError: the network has no such blocks to stop at, or too few stages.
        """
        if not stages:
            return
        chain = {} if isinstance(self.family, Timm) else self.family.chain(self.network)
        if not chain or stages > len(self.taps):
            most = len(self.taps) if chain else 0
            raise FoodkdError(f"frozen_stages = {stages}: this network allows 0 to {most}.")
        names = list(chain)[: list(chain).index(self.taps[stages - 1]) + 1]
        self._frozen = tuple(block for name in names if isinstance(block := chain[name], nn.Module))
        for block in self._frozen:
            block.requires_grad_(False)
        self.train(self.training)

    @property
    def frozen(self) -> list[nn.Module]:
        """Every module that `freeze` froze."""
        return [module for block in self._frozen for module in block.modules()]

    def train(self, mode: bool = True) -> TappedClassifier:
        """Set the mode of every part; frozen stages stay in eval."""
        super().train(mode)
        for block in getattr(self, "_frozen", ()):
            block.eval()
        return self

    def forward(self, images: Tensor) -> Tapped:
        """(B, 3, S, S) -> logits, stages and clean logits."""
        stages = tuple(self.family.stages(self.network, images, self.taps))
        if stages[-1].requires_grad and stages[-1].is_contiguous(memory_format=torch.channels_last):
            # Of a mean and of maps the gradient comes in another layout, which the norms before it are slow with.
            stages[-1].register_hook(_channels_last)
        pooled = self.family.pool(self.network, stages[-1])  # (B, C)
        clean = self.last(pooled)
        logits = self.last(self.dropout(pooled)) if self.training and self.dropout.p > 0 else clean
        return Tapped(logits, stages, clean)

    def activation_maps(self, features: Tensor, classes: Tensor) -> Tensor:
        """Class activation maps (Zhou et al., CVPR 2016, eq. 2) of given classes, against the average class.

        Adding one vector to every row of the weight changes no probability, but every map of the plain weight: what all
        classes share there can be larger than what tells them apart. The mean over the classes takes it off.

        Args:
            features: the last stage, (B, C, H, W).
            classes: (B, n) class indices.

        Returns:
            (B, n, H, W) float32; with an additive head in eval, the mean over the grid plus the class's bias, both of
            `centred_head`, is its centred logit.

        Raises:
            FoodkdError: other layers stand between the last stage and the last linear layer (MobileNetV3).
        """
        if features.shape[1] != self.last.in_features:
            raise FoodkdError(
                f"The last stage has {features.shape[1]} channels, the last linear layer {self.last.in_features}: this "
                "network's head does more than average, so it has no class activation maps; use Grad-CAM."
            )
        rows = self.centred_head[0][classes]  # (B, n, C)
        return torch.einsum("bnc,bchw->bnhw", rows, features.float())

    def geometry(self, size: int) -> tuple[Stage, ...]:
        """The stages for images of side `size`, early to late: channels, grid, and where each cell lies."""
        return self._trace(size).stages

    def cost(self, size: int) -> dict[str, int]:
        """Parameters of the network, and multiply-adds of one image of side `size`."""
        head = self.last.weight.numel()
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        return {"parameters": parameters, "multiply_adds": self._trace(size).multiply_adds + head}

    def _trace(self, size: int) -> Trace:
        if size not in self._traces:
            self._traces[size] = trace(self.network, self._up_to_the_last_layer, self.taps, size)
        return self._traces[size]

    def _up_to_the_last_layer(self, network: nn.Module, images: Tensor) -> list[Tensor]:
        stages = self.family.stages(network, images, self.taps)
        self.family.pool(network, stages[-1])  # for its cost: MobileNetV3 has a hidden layer there
        return stages

    @property
    def _pools_more_than_a_mean(self) -> bool:
        """Probe numerically: does the pooling of features give anything else than their mean?"""
        last = self.geometry(224)[-1]
        if last.channels != self.last.in_features:
            return True
        # Of either sign, so that an activation between pooling and linear layer shows.
        features = torch.randn(2, last.channels, 5, 4, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            features = features.to(self.head_weight.device)
            pooled = cast(Any, self.family).pool(self.network, features)
        return pooled.shape != features.shape[:2] or not torch.allclose(pooled, features.mean((2, 3)), atol=1e-5)


def _channels_last(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)
