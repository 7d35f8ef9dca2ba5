"""Every family: what one pass gives equals what the stock network does, and where its cells lie."""

from __future__ import annotations

import copy
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from foodkd.distill import instance_maps
from foodkd.errors import FoodkdError
from foodkd.nets import Tapped, TappedClassifier, centred
from tests.nets.conftest import CLASSES, Case, calls, hook_count, noise, pinpoint, same_state, snapshot

Built = tuple[Case, TappedClassifier]


def test_stages_have_the_sizes_of_a_real_pass(family: Built, photos: Tensor) -> None:
    case, network = family
    stages = network.geometry(case.size)
    with torch.no_grad():
        tapped = network(photos)
    assert [tuple(t.shape) for t in tapped.stages] == [(2, s.channels, s.height, s.width) for s in stages]
    assert tuple(stage.channels for stage in stages) == case.channels
    assert tuple(stage.step for stage in stages) == case.steps
    assert tapped.logits.shape == (2, CLASSES) == (2, network.classes)


def test_every_cell_lies_inside_the_image(family: Built) -> None:
    case, network = family
    for stage in network.geometry(case.size):
        assert 0 <= stage.start <= stage.start + stage.step * (stage.height - 1) <= case.size


def test_mean_of_the_map_and_bias_make_the_centred_logit(family: Built, photos: Tensor) -> None:
    case, network = family
    assert network.additive is case.additive
    if not case.additive:
        return _has_no_such_map(network, photos)
    with torch.no_grad():
        tapped = network(photos)
        maps = network.activation_maps(tapped.stages[-1], torch.arange(CLASSES).expand(2, -1))
    assert maps.shape == (2, CLASSES, *tapped.stages[-1].shape[2:])
    made = maps.mean((2, 3)) + network.centred_head[1]
    torch.testing.assert_close(made, tapped.logits - tapped.logits.mean(1, keepdim=True), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(made, centred(tapped.logits), rtol=1e-4, atol=1e-4)
    every = torch.arange(CLASSES).expand(2, -1)
    torch.testing.assert_close(maps, instance_maps(tapped.stages[-1], network.head_weight, every))  # the loss's maps


def _has_no_such_map(network: TappedClassifier, photos: Tensor) -> None:
    with torch.no_grad():
        tapped = network(photos)
    if network.last.in_features != tapped.stages[-1].shape[1]:
        with pytest.raises(FoodkdError, match="Grad-CAM"):
            network.activation_maps(tapped.stages[-1], torch.zeros(2, 1, dtype=torch.int64))
        return
    mean = network.activation_maps(tapped.stages[-1], torch.arange(CLASSES).expand(2, -1)).mean((2, 3))
    assert not torch.allclose(mean + network.centred_head[1], centred(tapped.logits), atol=1e-3)


def test_stages_and_logits_are_the_stock_network_s_own(family: Built, photos: Tensor) -> None:
    """Captured apart, by hooks that copy at once: a later in-place function must not reach a tapped stage."""
    _, network = family
    captured: dict[str, Tensor] = {}
    modules = _tapped_modules(network)
    handles = [
        module.register_forward_hook(lambda m, i, out, n=name: captured.__setitem__(n, out.clone()))
        for name, module in modules.items()
    ]
    with torch.no_grad():
        logits = network.network(photos)
        for handle in handles:
            handle.remove()
        tapped = network(photos)
    torch.testing.assert_close(tapped.logits, logits, rtol=1e-4, atol=1e-4)
    for (name, own), stage in zip(captured.items(), tapped.stages, strict=True):
        own = own.relu() if name == "features" else own  # DenseNet's last ReLU is a function, not a module
        torch.testing.assert_close(stage, own, rtol=1e-4, atol=1e-5, msg=f"{name} was altered or is another layer")


def _tapped_modules(network: TappedClassifier) -> dict[str, nn.Module]:
    inner = network.network
    if network.taps[0].startswith("stage") and hasattr(inner, "feature_info"):
        names = [info["module"] for info in list(inner.feature_info)[-4:]]
        # timm's EfficientNets and their kin name single blocks; their stages are the blocks' parents.
        return {name: inner.get_submodule(".".join(name.split(".")[:2])) for name in names}
    found = {}
    for tap in network.taps:
        path = {"relu": "features", **{f"block{i}": f"trunk_output.block{i}" for i in range(1, 5)}}.get(tap, tap)
        found[path] = inner.get_submodule(path)
    return found


def test_looking_changes_nothing(family: Built, photos: Tensor) -> None:
    case, network = family
    before, generator = snapshot(network), torch.get_rng_state()
    with torch.no_grad():
        network(photos)
    fresh = copy.deepcopy(network)
    fresh._traces.clear()
    for mode in (False, True):
        fresh.train(mode)
        fresh.geometry(case.size), fresh.cost(case.size), fresh.additive
        assert same_state(before[0], fresh.state_dict()), "following the cells moved a weight or a statistic"
    after = snapshot(network)
    assert same_state(before[0], after[0])
    assert before[1:] == after[1:]
    assert hook_count(fresh) == 0
    assert torch.equal(generator, torch.get_rng_state()), "random numbers were drawn: a resumed run would differ"


def test_the_backbone_runs_once(family: Built, photos: Tensor) -> None:
    _, network = family
    with torch.no_grad():
        stock = calls(network.network, (nn.Conv2d, nn.Linear), lambda: network.network(photos))
        ours = calls(network.network, (nn.Conv2d, nn.Linear), lambda: network(photos))
    assert ours == stock
    assert set(ours.values()) == {1}


def test_autocast_to_bfloat16(family: Built, photos: Tensor) -> None:
    _, network = family
    with torch.no_grad():
        exact = network(photos)
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(photos)
    assert rough.logits.dtype is torch.bfloat16
    spread = exact.logits.std() + exact.logits.abs().mean()
    assert (rough.logits.float() - exact.logits).abs().max() < 0.1 * spread
    maps = network.activation_maps(rough.stages[-1], torch.zeros(2, 1, dtype=torch.int64)) if network.additive else None
    assert maps is None or maps.dtype is torch.float32


def test_multiply_adds_and_parameters_against_a_count_by_hooks(family: Built) -> None:
    case, network = family
    counted = []

    def count(module: nn.Module, _inputs: object, output: Tensor) -> None:
        per_value = module.weight[0].numel()  # type: ignore[index]
        counted.append(output[0].numel() * per_value)

    kinds = (nn.Conv2d, nn.Linear)
    handles = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, kinds)]
    with torch.no_grad():
        network(noise(case.size, 1))
    for handle in handles:
        handle.remove()
    cost = network.cost(case.size)
    assert cost["multiply_adds"] == sum(counted)
    assert cost["parameters"] == sum(p.numel() for p in network.network.parameters())


def test_copied_and_pickled_networks_answer_alike(family: Built, photos: Tensor) -> None:
    _, network = family
    file = io.BytesIO()
    torch.save(network, file)
    file.seek(0)
    with torch.no_grad():
        answer = network(photos)
        for twin in (copy.deepcopy(network), torch.load(file, weights_only=False)):
            again: Tapped = twin(photos)
            assert torch.equal(answer.logits, again.logits)
            assert all(torch.equal(a, b) for a, b in zip(answer.stages, again.stages, strict=True))


def test_each_cell_looks_where_it_is_said_to_lie(family: Built) -> None:
    """The gradient of a cell with respect to the image is centred on start + step * index, along both axes."""
    case, network = family
    # InceptionV3's average pools see their neighbours' neighbours: only a large image holds all that a cell looks at.
    size, count = (256, 2) if case.name == "inception_v3" else (case.size, 6)
    images = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(2)).add_(0.5)
    images.requires_grad_()
    stages = pinpoint(network)(images).stages
    for said, features in zip(network.geometry(size), stages, strict=True):
        for row, column in ((said.height // 2, said.width // 2), (said.height // 2 - 1, said.width // 2)):
            (seen,) = torch.autograd.grad(features[:, :, row, column].sum(), images, retain_graph=True)
            found = _centre(seen)
            expected = np.array([said.start + said.step * row, said.start + said.step * column])
            # A start that is wrong by half a step would be 0.5 * step away.
            assert np.abs(found - expected).max() < 0.25 * said.step, (said.name, found, expected)


def _centre(gradient: Tensor) -> np.ndarray:
    """Centre of mass (y, x) of |gradient| (B, 3, S, S), less its level elsewhere (squeeze-and-excitation sees all)."""
    energy = gradient.abs().sum((0, 1)).double().numpy()
    energy = (energy - 4 * np.median(energy)).clip(min=0)
    assert energy.sum() > 0, "no gradient reaches the image"
    along = np.arange(energy.shape[0])
    return np.array([(energy.sum(1) * along).sum(), (energy.sum(0) * along).sum()]) / energy.sum()


def test_a_bright_dot_takes_the_map_with_it(family: Built) -> None:
    """The energy that a dot adds to the last stage lies, in image coordinates, where the dot is."""
    case, network = family
    step = network.geometry(case.size)[-1].step
    size = int(step * 6)
    stage = network.geometry(size)[-1]
    pixels, sharp = torch.arange(size), pinpoint(network)
    background = torch.full((1, 3, size, size), 0.5)
    for place in (0.36, 0.5, 0.61):
        y, x = (stage.start + stage.step * (stage.height - 1) * share for share in (place, 0.5))
        # Coloured: ConvNeXt's first norm makes it blind to brightness alone.
        colour = torch.tensor([1.0, 0.2, -0.3])[:, None, None]
        dot = colour * torch.outer(_bump(pixels, y, step), _bump(pixels, x, step))
        with torch.no_grad():
            added = (sharp(background + 0.05 * dot).stages[-1] - sharp(background).stages[-1]).abs().sum(1)[0].double()
        added = (added - added.median()).clamp(min=0)
        cells = stage.start + stage.step * torch.arange(stage.height)
        found_y, found_x = (added.sum(1) @ cells.double() / added.sum(), added.sum(0) @ cells.double() / added.sum())
        assert abs(found_y - y) < 0.3 * step and abs(found_x - x) < 0.3 * step, (found_y, y, found_x, x)


def _bump(pixels: Tensor, centre: float, step: float) -> Tensor:
    """A dot about a cell wide: its centre shows on the grid even between cells."""
    return torch.exp(-((pixels - centre) ** 2) / (2 * (0.6 * step) ** 2))


def test_no_test_needs_a_file(family: Built, tmp_path: Path) -> None:
    """Networks without starting weights name every parameter as fresh."""
    _, network = family
    assert network.fresh == tuple(name for name, _ in network.network.named_parameters())
