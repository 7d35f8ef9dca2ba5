"""Names, starting weights and dropout; one network is enough, families are tested elsewhere."""

from __future__ import annotations

import urllib.error
from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from foodkd.errors import FoodkdError
from foodkd.nets import AuxiliaryClassifiers, NetworkSettings, available_networks, build_network
from foodkd.nets.families import FAMILIES
from tests.nets.conftest import noise

# Names.


def test_every_family_has_available_networks() -> None:
    names = available_networks()
    assert all(any(name.startswith(prefix) for name in names) for prefix in FAMILIES)
    assert {"resnet50", "wide_resnet50_2", "resnext50_32x4d", "efficientnet_v2_s", "mobilenet_v3_large"} <= set(names)
    assert not any(word in name for name in names for word in ("rcnn", "vit", "swin", "fcn", "r3d", "vgg", "quantized"))


@pytest.mark.parametrize("name", ["resnext50_32x4d", "efficientnet_v2_s", "mobilenet_v3_large", "regnet_x_800mf"])
def test_siblings_have_four_stages(name: str) -> None:
    stages = NetworkSettings(backbone=name).skeleton(3).geometry(64)
    assert [stage.step for stage in stages] == [4, 8, 16, 32]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet19", "resnet18"),
        ("mobilenetv2", "mobilenet_v2"),
        ("quatsch", "inception_v3"),
        ("vgg16", "timm:NAME"),
        ("timm:resnet18x", "resnet18"),
        ("timm:quatsch", "mobilenetv3_small_100"),
        ("timm:vit_tiny_patch16_224", "timm:resnet18"),
        ("timm:swin_tiny_patch4_window7_224", "timm:resnet18"),
    ],
)
def test_unknown_names_are_one_sentence_that_names_others(name: str, hint: str) -> None:
    with pytest.raises(FoodkdError, match=hint) as caught:
        NetworkSettings(backbone=name).skeleton(3)
    assert name.removeprefix("timm:") in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=12))
@settings(max_examples=25, deadline=None)
def test_any_other_name_is_refused(name: str) -> None:
    if name not in available_networks():
        with pytest.raises(FoodkdError):
            build_network(name, 3)


# Starting weights.


@pytest.fixture(scope="module")
def resnet_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return torchvision.models.resnet18(num_classes=1000).state_dict()


def test_weights_for_other_classes_leave_the_head_fresh(resnet_state: dict, tmp_path: Path) -> None:
    save_file(resnet_state, tmp_path / "w.safetensors")
    network = build_network("resnet18", 3, weights=tmp_path / "w.safetensors")
    assert network.fresh == ("fc.weight", "fc.bias")
    assert torch.equal(network.network.layer4[1].bn2.running_var, resnet_state["layer4.1.bn2.running_var"])
    assert torch.equal(network.network.conv1.weight, resnet_state["conv1.weight"])


def test_partly_filled_half_precision_weights(resnet_state: dict, tmp_path: Path) -> None:
    left_out = "layer2.0.conv1.weight"
    save_file({k: v.half() for k, v in resnet_state.items() if k != left_out and v.ndim}, tmp_path / "w.safetensors")
    network = build_network("resnet18", 1000, weights=tmp_path / "w.safetensors")
    assert network.fresh == (left_out,)
    assert network.network.conv1.weight.dtype is torch.float32
    assert torch.equal(network.network.conv1.weight, resnet_state["conv1.weight"].half().float())


def test_wrong_weights_are_one_sentence(resnet_state: dict, tmp_path: Path) -> None:
    save_file({"features.x": torch.zeros(2)}, tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    for name, sentence in (("other", "Nothing in"), ("text", "not a readable"), ("none", "no weights file")):
        path = tmp_path / f"{name}.safetensors"
        with pytest.raises(FoodkdError, match=sentence) as caught:
            build_network("resnet18", 3, weights=path)
        assert str(path) in str(caught.value)


def test_densenet_s_published_names_of_2017_fit(tmp_path: Path) -> None:
    state = torchvision.models.densenet121(num_classes=7).state_dict()
    old = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2.") if "denselayer" in key else key: value
        for key, value in state.items()
    }
    assert old.keys() != state.keys()
    save_file(old, tmp_path / "w.safetensors")
    assert build_network("densenet121", 7, weights=tmp_path / "w.safetensors").fresh == ()


def _published(monkeypatch: pytest.MonkeyPatch, give: object) -> None:
    weights = SimpleNamespace(DEFAULT=SimpleNamespace(get_state_dict=give))
    monkeypatch.setattr(torchvision.models, "get_model_weights", lambda name: weights)


def test_inception_s_published_weights_take_imagenet_s_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published network scales its input; ours has that folded into its weights: a checkpoint needs no switch."""
    torch.manual_seed(0)
    stock = torchvision.models.inception_v3(num_classes=3, aux_logits=False, transform_input=True, init_weights=False)
    stock.eval().Conv2d_1a_3x3.bn.running_mean.normal_()
    _published(monkeypatch, lambda progress: stock.state_dict())
    ours = build_network("inception_v3", 3, pretrained=True).eval()
    assert ours.fresh == ()
    assert ours.network.transform_input is False
    with torch.no_grad():
        torch.testing.assert_close(ours(noise(96)).stages[0], _stem(stock, noise(96)), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(ours(noise(96)).logits, stock(noise(96)), rtol=1e-3, atol=1e-4)


def _stem(stock: nn.Module, images: torch.Tensor) -> torch.Tensor:
    x = stock._transform_input(images)
    for name in ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3"):
        x = getattr(stock, name)(x)
    return x


def test_unreachable_published_weights_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(**_options: object) -> None:
        raise urllib.error.URLError("no network")

    _published(monkeypatch, offline)
    with pytest.raises(FoodkdError, match=r"weights of resnet18 can't be fetched .*weights = FILE"):
        build_network("resnet18", 3, pretrained=True)


def test_timm_s_published_weights_leave_another_head_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def with_weights(name: str, *, pretrained: bool, num_classes: int, drop_rate: float) -> nn.Module:
        assert pretrained
        network = create(name, num_classes=num_classes, drop_rate=drop_rate)
        assert network.pretrained_cfg["num_classes"] == 1000
        return network

    monkeypatch.setattr(timm, "create_model", with_weights)
    assert build_network("timm:resnet18", 3, pretrained=True).fresh == ("fc.weight", "fc.bias")
    assert build_network("timm:resnet18", 1000, pretrained=True).fresh == ()


# One small network: dropout, wrappers.


def test_clean_logits_are_those_without_dropout() -> None:
    network = build_network("shufflenet_v2_x0_5", 4, dropout=0.5)
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    torch.manual_seed(0)
    tapped = network(noise(64))
    assert not torch.allclose(tapped.logits, tapped.clean)
    network.eval()
    quiet = network(noise(64))
    torch.testing.assert_close(tapped.clean, quiet.clean)
    assert torch.equal(quiet.logits, quiet.clean)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_gradients_take_the_layout_of_the_features(layout: torch.memory_format) -> None:
    network = build_network("mobilenet_v2", 3, output_stride=16).to(memory_format=layout)
    logits, stages, _ = network(noise(64).contiguous(memory_format=layout))
    assert stages[-1].is_contiguous(memory_format=layout)
    assert stages[-1].grad_fn is not None
    seen: list[Tensor] = []
    stages[-1].grad_fn.register_prehook(lambda gradients: seen.append(gradients[0]))
    logits.sum().backward()
    assert [one.is_contiguous(memory_format=layout) for one in seen] == [True]


def test_dropout_setting_replaces_the_backbone_s_own() -> None:
    settings_ = NetworkSettings(backbone="mobilenet_v2")
    assert settings_.skeleton(3).dropout.p == 0.2
    assert settings_.model_copy(update={"dropout": 0.0}).skeleton(3).dropout.p == 0.0
    assert NetworkSettings(backbone="resnet18").skeleton(3).dropout.p == 0.0
    network = build_network("shufflenet_v2_x0_5", 4, dropout=0.0).train()
    tapped = network(noise(64))
    assert torch.equal(tapped.logits, tapped.clean)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_networks_answer_alike(backend: str) -> None:
    network = build_network("resnet18", 3).eval()
    with torch.no_grad():
        plain, compiled = network(noise(32)), torch.compile(network, backend=backend)(noise(32))
    torch.testing.assert_close(plain.logits, compiled.logits)
    for one, other in zip(plain.stages, compiled.stages, strict=True):
        torch.testing.assert_close(one, other)


def test_distributed_training_of_one_process(tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    try:
        network = build_network("shufflenet_v2_x0_5", 3)
        wrapped = DistributedDataParallel(network)
        for _ in range(2):
            tapped = wrapped(noise(64))
            (tapped.logits.sum() + tapped.stages[1].mean()).backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
    finally:
        torch.distributed.destroy_process_group()


# Auxiliary classifiers.


def test_auxiliary_classifiers_answer_where_they_are() -> None:
    auxiliary = AuxiliaryClassifiers((8, 16, 32), (2, 0), 4, 5).eval()
    stages = [torch.randn(2, c, 6, 6).bfloat16() for c in (8, 16, 32)]
    before = [stage.clone() for stage in stages]
    answers = auxiliary(stages)
    assert [None if a is None else tuple(a.shape) for a in answers] == [(2, 5), None, (2, 5)]
    assert answers[0].dtype is torch.float32
    assert all(torch.equal(a, b) for a, b in zip(stages, before, strict=True))
