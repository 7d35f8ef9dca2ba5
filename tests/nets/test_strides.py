"""Finer grids: every weight still meets the spacing it was trained on; what can't be done is said."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from foodkd.errors import FoodkdError
from foodkd.nets import NetworkSettings, build_network
from foodkd.nets.strides import recalibrate, take_out_stride
from tests.nets.conftest import _liven, noise, same_state


def skeleton(name: str, size: int, **options: int) -> list[tuple[float, int]]:
    network = NetworkSettings(backbone=name, size=size, **options).skeleton(3)
    return [(stage.step, stage.height) for stage in network.geometry(size)]


@pytest.mark.parametrize(
    ("name", "size", "options", "expected"),
    [
        ("resnet18", 64, {"stem_stride": 1}, [(2, 32), (4, 16), (8, 8), (16, 4)]),
        ("mobilenet_v2", 64, {"stem_stride": 1}, [(2, 32), (4, 16), (8, 8), (16, 4)]),
        ("convnext_tiny", 64, {"stem_stride": 2}, [(2, 32), (4, 16), (8, 8), (16, 4)]),
        ("mobilenet_v2", 128, {"output_stride": 16}, [(4, 32), (8, 16), (16, 8), (16, 8)]),
        ("mobilenet_v2", 64, {"output_stride": 8}, [(4, 16), (8, 8), (8, 8), (8, 8)]),
        ("mobilenet_v2", 64, {"stem_stride": 1, "output_stride": 8}, [(2, 32), (4, 16), (8, 8), (8, 8)]),
        ("densenet121", 64, {"output_stride": 16}, [(4, 16), (8, 8), (16, 4), (16, 4)]),
        ("efficientnet_b0", 64, {"output_stride": 16}, [(4, 16), (8, 8), (16, 4), (16, 4)]),
        ("mobilenet_v3_small", 64, {"output_stride": 16}, [(4, 16), (8, 8), (16, 4), (16, 4)]),
        ("regnet_y_400mf", 64, {"output_stride": 16}, [(4, 16), (8, 8), (16, 4), (16, 4)]),
        ("convnext_tiny", 64, {"output_stride": 32}, [(4, 16), (8, 8), (16, 4), (32, 2)]),
        # Valid convolutions: 6 x 6 cells from 128 px, where the stock network has 2 x 2.
        ("inception_v3", 128, {"output_stride": 16}, [(4, 28), (8, 13), (16, 6), (16, 6)]),
    ],
)
def test_grids(name: str, size: int, options: dict[str, int], expected: list[tuple[float, int]]) -> None:
    assert skeleton(name, size, **options) == expected


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("resnet18", 16),
        ("resnet18", 8),
        ("resnet50", 16),
        ("mobilenet_v2", 16),
        ("mobilenet_v2", 8),
        ("shufflenet_v2_x1_0", 16),
        ("regnet_x_400mf", 8),
    ],
)
def test_a_trous_identity(name: str, wanted: int) -> None:
    """Without its stride a network computes the stock network's cells, and new ones between them.

    Holds on the whole grid: padding grows with the dilation, and every grid here has an even side.
    """
    torch.manual_seed(1)
    stock = build_network(name, 3).eval()
    _liven(stock)
    fine = build_network(name, 3, output_stride=wanted).eval()
    fine.load_state_dict(stock.state_dict())
    with torch.no_grad():
        coarse_stages, fine_stages = stock(noise(64)).stages, fine(noise(64)).stages
    for one, other in zip(coarse_stages, fine_stages, strict=True):
        ratio = other.shape[-1] // one.shape[-1]
        error = (other[:, :, ::ratio, ::ratio] - one).abs().max()
        assert error < 1e-4 * one.abs().max()
    assert fine_stages[-1].shape[-1] == 64 // wanted


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([1, 2, 4]), st.sampled_from([3, 5]), st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_dilated_depthwise_convolutions_are_themselves(
    before: int, kernel: int, height: int, width: int, bias: bool
) -> None:
    plain, ours = (nn.Conv2d(4, 4, kernel, padding=kernel // 2, groups=4, bias=bias) for _ in range(2))
    ours.load_state_dict(plain.state_dict())
    assert take_out_stride([nn.Conv2d(4, 4, 3, stride=2, padding=1), ours], before) == 2 * before
    assert type(ours) is not nn.Conv2d  # it takes the detour
    plain.dilation, plain.padding = (2 * before,) * 2, (kernel // 2 * 2 * before,) * 2
    assert (ours.dilation, ours.padding) == (plain.dilation, plain.padding)
    images = torch.randn(2, 4, height, width).to(memory_format=torch.channels_last)
    found = []
    for convolution in (plain, ours):
        photos = images.clone().requires_grad_()
        answer = convolution(photos)
        answer.square().sum().backward()
        found.append([answer, photos.grad, *(parameter.grad for parameter in convolution.parameters())])
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(plain(images), ours(images), rtol=0, atol=0)


def test_weights_keep_their_names_and_shapes() -> None:
    for name in ("mobilenet_v2", "densenet121", "inception_v3"):
        shapes = [
            {key: value.shape for key, value in settings.skeleton(3).state_dict().items()}
            for settings in (
                NetworkSettings(backbone=name),
                NetworkSettings(backbone=name, output_stride=16, stem_stride=1),
            )
        ]
        assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("resnet18", {"stem_stride": 3}, r"stem_stride = 3 .*allowed: 1, 2\."),
        ("resnet18", {"stem_stride": 4}, r"stem_stride = 4 .*allowed: 1, 2\."),
        ("convnext_tiny", {"stem_stride": 1}, r"stem_stride = 1 .*allowed: 2, 4\."),
        ("resnet18", {"output_stride": 10}, r"output_stride = 10 .*\[4, 8, 16, 32\]"),
        ("resnet18", {"output_stride": 64}, r"output_stride = 64 .*\[4, 8, 16, 32\]"),
        ("convnext_tiny", {"output_stride": 16}, "larger input size"),
        ("inception_v3", {"output_stride": 8}, "16 or 32"),
        ("timm:resnet18", {"output_stride": 16}, "not available for timm"),
    ],
)
def test_impossible_strides_are_one_sentence(name: str, options: dict[str, int], sentence: str) -> None:
    with pytest.raises(FoodkdError, match=sentence) as caught:
        NetworkSettings(backbone=name, **options).skeleton(3)
    assert "\n" not in str(caught.value)


def test_too_small_an_image_is_one_sentence() -> None:
    network = NetworkSettings(backbone="inception_v3").skeleton(3)
    with pytest.raises(FoodkdError, match="32 x 32 px") as caught:
        network.geometry(32)
    assert "\n" not in str(caught.value)


# Batch norm after a stride was taken out.


@pytest.fixture
def settled() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.03), nn.ReLU(), nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2)
    )
    return network.eval()


def test_recalibrate_changes_statistics_and_nothing_else(settled: nn.Module) -> None:
    before = {key: value.clone() for key, value in settled.state_dict().items()}
    settled[4].train()
    batches = [noise(10, 4, seed) for seed in range(3)]
    recalibrate(settled, iter(batches))
    after = settled.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed == {f"{i}.{key}" for i in (1, 4) for key in ("running_mean", "running_var", "num_batches_tracked")}
    assert [m.training for m in settled] == [False, False, False, False, True]
    assert (settled[1].momentum, settled[4].momentum) == (0.03, 0.1)


def test_recalibrate_takes_the_plain_average(settled: nn.Module) -> None:
    batches = [noise(10, 4, seed) for seed in range(3)]
    recalibrate(settled, iter(batches))
    seen = [settled[0](batch).detach() for batch in batches]
    torch.testing.assert_close(settled[1].running_mean, torch.stack([s.mean((0, 2, 3)) for s in seen]).mean(0))
    torch.testing.assert_close(settled[1].running_var, torch.stack([s.var((0, 2, 3)) for s in seen]).mean(0))


def test_recalibrate_restores_modes_after_an_error(settled: nn.Module) -> None:
    def broken() -> Iterator[Tensor]:
        yield noise(10, 4)
        raise OSError("a photo went away")

    with pytest.raises(OSError, match="went away"):
        recalibrate(settled, broken())
    assert not any(module.training for module in settled.modules())
    assert (settled[1].momentum, settled[4].momentum) == (0.03, 0.1)


def test_recalibrate_on_nothing_changes_nothing(settled: nn.Module) -> None:
    recalibrate(settled, iter([noise(10, 4)]))
    before = {key: value.clone() for key, value in settled.state_dict().items()}
    with pytest.raises(FoodkdError, match="no photos"):
        recalibrate(settled, iter([]))
    assert same_state(before, settled.state_dict())
