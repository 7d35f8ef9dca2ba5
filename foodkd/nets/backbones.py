"""Names to networks: torchvision's families and timm's convolutional ones, with starting weights and finer grids."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from foodkd.errors import FoodkdError
from foodkd.nets.families import FAMILIES, Family, Timm, timm_family, torchvision_family
from foodkd.nets.geometry import trace
from foodkd.nets.strides import set_stem_stride, take_out_stride
from foodkd.nets.tapped import TappedClassifier


class NetworkSettings(BaseModel):
    """One network of a pair.

    Attributes:
        backbone: a torchvision name ("mobilenet_v2") or "timm:NAME".
        size: side of its input in pixels.
        pretrained: load the library's published ImageNet weights.
        weights: a .safetensors file of starting weights; what it lacks stays fresh and is reported.
        stem_stride: stride of the first convolution (smaller pictures want 1).
        output_stride: pixels between the cells of the last stage (finer maps: 16 or 8).
        dropout: before the last linear layer; None leaves the backbone's own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str
    size: int = Field(default=128, ge=32, le=1024)
    pretrained: bool = False
    weights: Path | None = None
    stem_stride: int | None = None
    output_stride: int | None = None
    dropout: float | None = Field(default=None, ge=0, lt=1)

    def build(self, classes: int) -> TappedClassifier:
        """The network, ready to train."""
        options = self.model_dump(exclude={"backbone", "size"})
        return build_network(self.backbone, classes, **options)

    def skeleton(self, classes: int) -> TappedClassifier:
        """The same network, to be filled from a checkpoint: without weights, on the meta device, where it can be."""
        options = self.model_dump(exclude={"backbone", "size", "pretrained", "weights"})
        try:
            with torch.device("meta"):
                network = build_network(self.backbone, classes, **options)
            stored = network.state_dict()
            if all(name in stored for name, _ in network.named_buffers()):
                return network
        except NotImplementedError:
            pass  # RegNet works out its widths with tensors
        # Constants that no file holds (blur kernels of some timm networks) would stay on the meta device as well.
        with torch.random.fork_rng(devices=[]):
            return build_network(self.backbone, classes, **options)


def available_networks() -> list[str]:
    """The torchvision classifiers that can be tapped; any convolutional timm network works as `timm:NAME` besides."""
    from torchvision.models import list_models

    return sorted(name for name in list_models() if "/" not in name and "quantized" not in name and _is_supported(name))


def _is_supported(name: str) -> bool:
    from torchvision.models import get_model_builder

    module = get_model_builder(name).__module__
    return torchvision_family(name) is not None and module.count(".") == 2  # not detection, video, segmentation


def build_network(
    name: str,
    classes: int,
    *,
    pretrained: bool = False,
    weights: Path | None = None,
    stem_stride: int | None = None,
    output_stride: int | None = None,
    dropout: float | None = None,
) -> TappedClassifier:
    """Build a classifier whose stages can be tapped.

    Args:
        name: torchvision's name or `timm:NAME`.
        classes: number of classes K.
        pretrained: load the library's published weights (through its own loader; needs a network connection once).
        weights: a .safetensors file of starting weights instead.
        stem_stride: stride of the first convolution.
        output_stride: step of the last stage in input pixels; strides are taken out and later convolutions dilated.
        dropout: probability before the last linear layer.

    Returns:
        The wrapped network in training mode; its `fresh` names the parameters that no file filled.

    Raises:
        FoodkdError: unknown name, impossible setting, or a weights file that does not fit.
    """
    network, family, published = _stock(name, classes, pretrained and weights is None)
    taps = _taps(network, family, name)
    if stem_stride is not None:
        set_stem_stride(network, stem_stride)
    if output_stride is not None:
        _set_output_stride(network, family, taps, output_stride)
    fresh = tuple(key for key, _ in network.named_parameters())
    if weights is not None:
        published = _read_weights(weights)
    if published is not None:
        fresh = load_matching(network, published, source=str(weights or f"the published weights of {name}"))
    return TappedClassifier(network, family, taps, dropout=dropout, fresh=fresh)


def _stock(name: str, classes: int, pretrained: bool) -> tuple[nn.Module, Family | Timm, dict[str, Tensor] | None]:
    if name.startswith("timm:"):
        network = _timm_network(name.removeprefix("timm:"), classes, pretrained)
        family = timm_family(network, name.removeprefix("timm:"))
        return network, family, _timm_published(network, family, classes) if pretrained else None
    from torchvision.models import get_model, get_model_weights

    own = torchvision_family(name)
    if own is None or name not in available_networks():
        raise FoodkdError(_unknown(name))
    network = get_model(name, weights=None, num_classes=classes, **dict(own.options))
    if not pretrained:
        return network, own, None
    try:
        published = dict(get_model_weights(name).DEFAULT.get_state_dict(progress=True))
    except OSError as error:
        raise FoodkdError(_unreachable(name, error)) from error
    return network, own, _inception_folded(published) if name == "inception_v3" else published


def _inception_folded(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """InceptionV3's published weights for inputs of ImageNet's statistics instead of -1..1.

    The published network begins with x * s + t per channel. Its first convolution is unpadded and meets a batch norm,
    so s goes into its weights and t into the batch norm's running mean, exactly; checkpoints then need no extra switch.
    """
    scale = torch.tensor([0.229, 0.224, 0.225]) / 0.5
    shift = (torch.tensor([0.485, 0.456, 0.406]) - 0.5) / 0.5
    weight, mean = (state[f"Conv2d_1a_3x3.{part}"].float() for part in ("conv.weight", "bn.running_mean"))
    folded = {
        "Conv2d_1a_3x3.conv.weight": weight * scale.view(1, 3, 1, 1),
        "Conv2d_1a_3x3.bn.running_mean": mean - (weight.sum((2, 3)) * shift).sum(1),
    }
    return state | folded


def _timm_published(network: nn.Module, family: Timm, classes: int) -> dict[str, Tensor]:
    """What timm's loader filled: everything, but the head only where the published one has as many classes."""
    cfg: Any = getattr(network, "pretrained_cfg", None) or {}
    whole = cfg.get("num_classes") == classes
    return {k: v for k, v in network.state_dict().items() if whole or not k.startswith(f"{family.last}.")}


def _unreachable(name: str, error: OSError) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return f"The published weights of {name} can't be fetched ({reason}); give a file with weights = FILE.safetensors."


def _timm_network(name: str, classes: int, pretrained: bool) -> nn.Module:
    import timm

    if not timm.is_model(name):
        import difflib

        near = difflib.get_close_matches(name, timm.list_models(), n=3) or ["resnet18", "mobilenetv3_small_100"]
        raise FoodkdError(f"timm knows no network '{name}'; close names: {', '.join(near)}.")
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=classes, drop_rate=0.0)
    except OSError as error:
        raise FoodkdError(_unreachable(f"timm:{name}", error)) from error


def _unknown(name: str) -> str:
    import difflib

    known = available_networks()
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"families: {', '.join(FAMILIES)}, or timm:NAME."
    return f"There is no backbone '{name}'; {hint}"


def _taps(network: nn.Module, family: Family | Timm, name: str) -> tuple[str, ...]:
    """The end of every resolution stage, the last four of them (early to late)."""
    if isinstance(family, Timm):
        count = len(network.feature_info)  # type: ignore[arg-type]
        return tuple(f"stage{index}" for index in range(count))[-4:]
    names = list(family.chain(network))
    # Traced at the stock strides, so that a setting never moves the cut.
    steps = [stage.step for stage in trace(network, lambda n, x: family.stages(n, x, names), names, 224).stages]
    ends = [n for n, here, after in zip(names, steps, [*steps[1:], 0.0], strict=True) if here != after]
    return tuple(ends[-4:])


def _set_output_stride(network: nn.Module, family: Family | Timm, taps: tuple[str, ...], wanted: int) -> None:
    if isinstance(family, Timm):
        raise FoodkdError(f"output_stride = {wanted} is not available for timm networks; use a larger input size.")
    chain = family.chain(network)
    names = list(chain)
    steps = [stage.step for stage in trace(network, lambda n, x: family.stages(n, x, taps), taps, 224).stages]
    if wanted not in steps:
        raise FoodkdError(f"output_stride = {wanted} is not one of this network's steps {[int(s) for s in steps]}.")
    dilation = 1
    for before, tap, step in zip(taps, taps[1:], steps[1:], strict=False):
        if step > wanted:
            blocks = [chain[name] for name in names[names.index(before) + 1 : names.index(tap) + 1]]
            dilation = take_out_stride([m for b in blocks if isinstance(b, nn.Module) for m in b.modules()], dilation)


def _read_weights(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError:
        raise FoodkdError(f"There is no weights file {path}; give the path of a .safetensors file.") from None
    except Exception as error:
        raise FoodkdError(f"{path} is not a readable .safetensors file ({error}).") from None


# torchvision's published DenseNets still have the names of 2017: "denselayer1.norm.1.weight".
_DENSENET_OLD = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


def load_matching(network: nn.Module, state: dict[str, Tensor], *, source: str) -> tuple[str, ...]:
    """Fill a network with every tensor that fits by name and shape.

    Args:
        network: filled in place.
        state: starting weights; a head for other classes is simply left out.
        source: how errors name them.

    Returns:
        Names of the parameters that stayed fresh.

    Raises:
        FoodkdError: nothing fits.
    """
    own = network.state_dict()
    state = {_DENSENET_OLD.sub(r"\1\2", key): value for key, value in state.items()}
    fitting = {key: value for key, value in state.items() if key in own and value.shape == own[key].shape}
    if not any(key in dict(network.named_parameters()) for key in fitting):
        raise FoodkdError(f"Nothing in {source} fits this backbone; they are weights of another network.")
    network.load_state_dict(fitting, strict=False)
    return tuple(key for key, _ in network.named_parameters() if key not in fitting)
