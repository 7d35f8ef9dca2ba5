"""A pair: teacher and student, their classes, how photos reach them, and what was measured; loaded and saved whole."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foodkd.data import Preprocessing
from foodkd.errors import FoodkdError
from foodkd.files import sha256, whole_folder
from foodkd.nets.auxiliary import AuxiliaryClassifiers
from foodkd.nets.backbones import NetworkSettings
from foodkd.nets.tapped import TappedClassifier

FORMAT = 1
NETWORKS = ("teacher", "student", "student-alone")


@dataclass
class Pair:
    """Teacher and student and all that is needed to use them.

    Attributes:
        classes: names in the order of the logits.
        preprocessing: how a photo becomes the networks' input.
        networks: "teacher", "student" and, where it was trained, "student-alone"; in eval, without gradients.
        settings: how each network is built.
        auxiliary: each network's auxiliary classifiers (may lack entries).
        temperatures: each network's calibration temperature; 1 where none was fitted.
        info: everything else that is known, as in `pair.json`: name, recipe, metrics, hashes.
        path: the folder it came from, or None.
    """

    classes: tuple[str, ...]
    preprocessing: Preprocessing
    networks: dict[str, TappedClassifier]
    settings: dict[str, NetworkSettings]
    auxiliary: dict[str, AuxiliaryClassifiers] = field(default_factory=dict)
    temperatures: dict[str, float] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None

    def __post_init__(self) -> None:
        """Put every part in eval, without gradients, in the memory layout that CPUs convolve fastest."""
        for part in [*self.networks.values(), *self.auxiliary.values()]:
            part.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.temperatures = {name: float(self.temperatures.get(name, 1.0)) for name in self.networks}

    @property
    def name(self) -> str:
        """What the pair is called."""
        return str(self.info.get("name") or (self.path.name if self.path else "pair"))

    @property
    def sizes(self) -> dict[str, int]:
        """Input side of each network in pixels."""
        return {name: self.settings[name].size for name in self.networks}

    def tensor(self, name: str, small: np.ndarray | Tensor) -> Tensor:
        """Reduced photos (B, R, R, 3) or (R, R, 3) uint8 -> the input (B, 3, S, S) of network `name`."""
        return self.preprocessing.tensor(small, self.sizes[name]).contiguous(memory_format=torch.channels_last)

    def costs(self, name: str) -> dict[str, int]:
        """Parameters, multiply-adds for one photo, and bytes of the weights as stored (fp16 if never saved)."""
        network = self.networks[name]
        costs = network.cost(self.sizes[name])
        stored = self.info.get("networks", {}).get(name, {}).get("bytes")
        return {**costs, "bytes": int(stored or _bytes(_storable(network.network)))}

    @classmethod
    def build(
        cls, teacher: NetworkSettings, student: NetworkSettings, classes: tuple[str, ...], preprocessing: Preprocessing
    ) -> Pair:
        """A fresh, untrained pair."""
        settings = {"teacher": teacher, "student": student}
        networks = {name: s.build(len(classes)) for name, s in settings.items()}
        return cls(tuple(classes), preprocessing, networks, settings)

    def save(self, folder: Path, *, replace: bool = False) -> Path:
        """Write the pair as a checkpoint folder, whole or not at all: pair.json and one .safetensors file per network.

        Args:
            folder: where; must not hold anything yet unless `replace`.
            replace: swap an older checkpoint for this one.

        Returns:
            The folder.

        Raises:
            FoodkdError: `folder` holds something already: anything, or with `replace` anything but a checkpoint.
        """
        _spare_others(Path(folder))
        with whole_folder(Path(folder), replace=replace) as temporary:
            info = self.info | {"format": FORMAT, "name": self.name if self.info.get("name") else Path(folder).name}
            info |= {"classes": list(self.classes), "preprocessing": self.preprocessing.model_dump(mode="json")}
            info["networks"] = {name: self._write_network(name, temporary) for name in self.networks}
            info["auxiliary"] = self._write_auxiliary(temporary) if self.auxiliary else None
            (temporary / "pair.json").write_text(_json(info), encoding="utf-8")
        self.info, self.path = info, Path(folder)
        return self.path

    def _write_network(self, name: str, folder: Path) -> dict[str, Any]:
        network = self.networks[name]
        path = folder / f"{name}.safetensors"
        _write(_storable(network.network), path)
        settings = self.settings[name].model_dump(mode="json", exclude={"weights", "pretrained"})
        described = {"file": path.name, "sha256": sha256(path), "bytes": path.stat().st_size, "settings": settings}
        temperature = {"temperature": self.temperatures[name]}
        return described | temperature | network.cost(self.sizes[name])

    def _write_auxiliary(self, folder: Path) -> dict[str, Any]:
        path = folder / "auxiliary.safetensors"
        merged = {f"{name}.{k}": v for name, heads in self.auxiliary.items() for k, v in _storable(heads).items()}
        _write(merged, path)
        any_heads = next(iter(self.auxiliary.values()))
        width = next(iter(any_heads.heads.values()))[0].out_channels  # type: ignore[index]
        stages = [int(stage) for stage in any_heads.heads]
        return {"file": path.name, "sha256": sha256(path), "stages": stages, "width": width, "of": list(self.auxiliary)}

    @classmethod
    def load(cls, source: str | Path) -> Pair:
        """Open a checkpoint folder, or a repository id of the Hugging Face Hub.

        Args:
            source: a folder with pair.json, or "owner/name".

        Raises:
            FoodkdError: missing, foreign, truncated or altered files; the sentence names the file.
        """
        folder = _local(source)
        info = _read_info(folder)
        try:
            classes = _class_names(info["classes"])
            preprocessing = Preprocessing.model_validate(info["preprocessing"])
            described = {name: info["networks"][name] for name in NETWORKS if name in info["networks"]}
            settings = {name: NetworkSettings.model_validate(d["settings"]) for name, d in described.items()}
            networks = {n: _read_network(folder, described[n], settings[n], len(classes)) for n in described}
            temperatures = {name: _temperature(d.get("temperature", 1.0)) for name, d in described.items()}
            auxiliary = _read_auxiliary(folder, info.get("auxiliary"), networks, len(classes))
        except (LookupError, TypeError, ValueError, AttributeError) as error:  # ValueError: pydantic's included
            reason = " ".join(str(error).splitlines()[:2])
            sentence = f"{folder / 'pair.json'} lacks or garbles a part ({reason}); restore the checkpoint."
            raise FoodkdError(sentence) from None
        if not {"teacher", "student"} <= set(networks):
            raise FoodkdError(f"{folder / 'pair.json'} names no teacher and student; it is not a pair's checkpoint.")
        return cls(classes, preprocessing, networks, settings, auxiliary, temperatures, info, folder)


def _spare_others(folder: Path) -> None:
    """Replacing swaps a whole folder: only a checkpoint may be lost that way."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "pair.json").is_file():
        raise FoodkdError(f"{folder} holds other things than a checkpoint and stays as it is; name another folder.")


def _json(info: dict[str, Any]) -> str:
    return json.dumps(info, indent=1, ensure_ascii=False) + "\n"


def _class_names(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or len(set(names)) != len(names) or not all(isinstance(n, str) for n in names):
        raise ValueError("classes must be a list of different names")
    return tuple(names)


def _temperature(value: Any) -> float:
    if not 0 < float(value) < math.inf:
        raise ValueError(f"a temperature must be above 0, not {value}")
    return float(value)


def _local(source: str | Path) -> Path:
    folder = Path(source)
    if folder.exists() or not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", str(source)) or folder.parts[0] == "checkpoints":
        return folder
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(source), allow_patterns=["*.json", "*.safetensors", "*.npz"]))
    except (OSError, ValueError) as error:  # the Hub's own errors are of these kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FoodkdError(f"'{source}' is neither a folder nor a reachable repository of the Hub ({reason}).") from None


def _read_info(folder: Path) -> dict[str, Any]:
    path = folder / "pair.json"
    if not path.is_file():
        raise FoodkdError(f"{folder} holds no checkpoint: {path} is missing. Give a folder that `foodkd train` wrote.")
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise FoodkdError(f"{path} is not readable JSON; restore the checkpoint.") from None
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        given = info.get("format") if isinstance(info, dict) else None
        raise FoodkdError(f"{path} has format {given!r}, this foodkd reads {FORMAT}; it is foreign or newer.")
    return info


def _read_network(folder: Path, described: dict[str, Any], settings: NetworkSettings, classes: int) -> TappedClassifier:
    state = _read(folder / described["file"], described["sha256"])
    network = settings.skeleton(classes)
    _fill(network.network, state, folder / described["file"])
    network.fresh = ()
    return network


def _read_auxiliary(
    folder: Path, described: dict[str, Any] | None, networks: dict[str, TappedClassifier], classes: int
) -> dict[str, AuxiliaryClassifiers]:
    if not described:
        return {}
    state = _read(folder / described["file"], described["sha256"])
    auxiliary = {}
    for name in described["of"]:
        channels = [stage.channels for stage in networks[name].geometry(224)]
        with torch.device("meta"):
            auxiliary[name] = AuxiliaryClassifiers(channels, described["stages"], described["width"], classes)
        own = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
        _fill(auxiliary[name], own, folder / described["file"])
    return auxiliary


def _read(path: Path, expected: str) -> dict[str, Tensor]:
    """Tensors of a file as float32 (integers as they are), after its hash was checked."""
    from safetensors.torch import load_file

    if not path.is_file():
        raise FoodkdError(f"{path} is missing; restore the checkpoint.")
    if sha256(path) != expected:
        raise FoodkdError(f"{path} is truncated or altered: its SHA-256 is not pair.json's; restore the checkpoint.")
    try:
        state = load_file(path)
    except Exception as error:
        raise FoodkdError(f"{path} is not a readable .safetensors file ({error}); restore the checkpoint.") from None
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def _fill(network: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    try:
        network.load_state_dict(state, assign=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise FoodkdError(f"{path} does not fit the network that pair.json describes ({reason[:200]}).") from None


def _storable(network: nn.Module) -> dict[str, Tensor]:
    """Weights in fp16; vectors (biases, batch-norm statistics) in float32: few, and variances leave fp16's range."""
    state = network.state_dict()
    return {k: (v.half() if v.is_floating_point() and v.ndim > 1 else v).contiguous().cpu() for k, v in state.items()}


def _write(state: dict[str, Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    save_file(state, path)
    path.chmod(0o644)  # safetensors leaves it readable to its writer alone; a checkpoint is shared


def _bytes(state: dict[str, Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in state.values())
