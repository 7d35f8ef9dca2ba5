"""Finer maps and smaller pictures: strides taken out of a fresh network, its weights' names and shapes unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.inception import InceptionB, InceptionD

from foodkd.errors import FoodkdError


def set_stem_stride(network: nn.Module, stride: int) -> None:
    """Give the first strided convolution another stride (in place: the network is being built).

    Raises:
        FoodkdError: the stem can't have that stride.
    """
    stem = next(m for m in network.modules() if isinstance(m, nn.Conv2d) and max(m.stride) > 1)
    stock, patches = stem.stride[0], stem.stride == stem.kernel_size
    allowed = [v for v in (1, 2, 4) if v <= stock and not (patches and (stock - v) % 2)]
    if stride not in allowed:
        raise FoodkdError(f"stem_stride = {stride} does not fit this network; allowed: {', '.join(map(str, allowed))}.")
    if patches and stride < stock:  # they did not overlap and now do: even padding keeps the grid's size exact
        stem.padding = ((stem.kernel_size[0] - stride) // 2,) * 2
    stem.stride = (stride, stride)


def take_out_stride(blocks: Sequence[nn.Module], dilation: int) -> int:
    """Take one stride of 2 out of a stage and dilate what follows, so that every weight still meets the same spacing.

    The "a trous" rule (Chen et al., DeepLab, PAMI 2018): a strided convolution keeps its taps and loses its stride;
    every later convolution works on a grid twice as fine as it was trained on, so its dilation doubles.

    Args:
        blocks: all modules of the stage, in order of use.
        dilation: what earlier calls have already made of the grid (1 at first).

    Returns:
        The dilation of the grid after this stage.
    """
    if any(isinstance(module, InceptionB) for module in blocks):
        raise FoodkdError("InceptionV3's output_stride can be 16 or 32, no finer; use a larger input size besides.")
    reductions = [module for module in blocks if isinstance(module, InceptionD)]
    if reductions:
        _take_out_of_inception(reductions[0])
        return dilation  # its 2 x 2 or 3 x 3 grid is so small that the later blocks do better undilated
    strided = False
    for module in blocks:
        if isinstance(module, nn.AvgPool2d) and module.stride == 2:
            strided = True
            module.kernel_size = module.stride = 1
        elif isinstance(module, nn.Conv2d):
            if max(module.stride) > 1:
                strided = True
                module.stride = (1, 1)
                _dilate(module, dilation)
            else:
                _dilate(module, dilation * 2 if strided else dilation)
    return dilation * 2


def _dilate(convolution: nn.Conv2d, dilation: int) -> None:
    if all(side % 2 for side in convolution.kernel_size):
        convolution.dilation = (dilation, dilation)
        convolution.padding = tuple(int(side) * dilation for side in convolution.padding)
        if dilation > 1 and convolution.groups == convolution.in_channels and type(convolution) is nn.Conv2d:
            convolution.__class__ = _DilatedDepthwise
    else:
        raise FoodkdError(
            "output_stride is not available for networks whose stages begin with even kernels (ConvNeXt); leave it "
            "out, or give the network a larger input size."
        )


class _DilatedDepthwise(nn.Conv2d):
    """The same depthwise convolution with a faster backward pass on a processor, where dilation makes it slow.

    Cells a dilation apart never meet their neighbours: each such sub-grid is convolved undilated, as a photo of its own
    (the "a trous" rule read backwards). Outputs are the same, bit for bit or nearly.
    """

    def forward(self, input: Tensor) -> Tensor:
        backwards = torch.is_grad_enabled() and (input.requires_grad or self.weight.requires_grad)
        laid_out = input.device.type == "cpu" and input.is_contiguous(memory_format=torch.channels_last)
        if not (backwards and laid_out):
            return super().forward(input)
        step, (height, width) = self.dilation[0], input.shape[-2:]
        beyond = (0, -width % step, 0, -height % step)
        cells = F.pad(input, beyond) if any(beyond) else input  # zeros, as beyond the edge
        rows = cells.permute(0, 2, 3, 1).unflatten(2, (-1, step)).unflatten(1, (-1, step))  # (B, h, s, w, s, C)
        grids = rows.permute(2, 4, 0, 1, 3, 5).flatten(0, 2).permute(0, 3, 1, 2)  # (s s B, C, h, w)
        padding = tuple(int(side) // step for side in self.padding)
        done = F.conv2d(grids, self.weight, self.bias, padding=padding, groups=self.groups)
        joined = done.permute(0, 2, 3, 1).unflatten(0, (step, step, -1)).permute(2, 3, 0, 4, 1, 5)
        return joined.flatten(3, 4).flatten(1, 2)[:, :height, :width].permute(0, 3, 1, 2)


class _FineInceptionD(InceptionD):
    """InceptionV3's reduction block without its reduction: stride 1, padding 1, also in its functional max-pool."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        branch7x7x3 = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return [
            self.branch3x3_2(self.branch3x3_1(x)),
            self.branch7x7x3_4(branch7x7x3),
            F.max_pool2d(x, kernel_size=3, stride=1, padding=1),
        ]


def _take_out_of_inception(block: InceptionD) -> None:
    # The class changes and nothing else: the weights' names must stay those of the published files.
    block.__class__ = _FineInceptionD
    for convolution in (block.branch3x3_2.conv, block.branch7x7x3_4.conv):
        convolution.stride, convolution.padding = (1, 1), (1, 1)


@torch.no_grad()
def recalibrate(network: nn.Module, batches: Iterator[Tensor]) -> None:
    """Measure every batch norm's statistics anew over batches (B, 3, S, S): after a stride is taken out they differ.

    Those of frozen stages stay. Modes and momenta are as before afterwards, also after an error; only the running
    statistics change.

    Raises:
        FoodkdError: there is no batch at all; the statistics stay as they were.
    """
    batches = iter(batches)
    first = next(batches, None)
    if first is None:
        raise FoodkdError("Batch norm can't be recalibrated on no photos; give one batch or more.")
    still = set(getattr(network, "frozen", ()))
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m not in still]
    kept = [(norm, norm.training, norm.momentum) for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
            norm.momentum = None  # a plain average over all batches
        for images in chain([first], batches):
            network(images)
    finally:
        for norm, training, momentum in kept:
            norm.train(training)
            norm.momentum = momentum
