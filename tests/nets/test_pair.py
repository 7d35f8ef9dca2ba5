"""A checkpoint comes back as it was, or one sentence says what is wrong with it; a failed save loses nothing."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from foodkd.data import Preprocessing
from foodkd.errors import FoodkdError
from foodkd.files import sha256
from foodkd.nets import NetworkSettings, Pair
from foodkd.nets import pair as pair_module


@pytest.fixture
def copied(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


@pytest.fixture
def small() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    info = json.loads((folder / "pair.json").read_text())
    edit(info)
    (folder / "pair.json").write_text(json.dumps(info))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_loaded_pair_answers_as_the_saved_one(tiny_pair: Pair, tiny_checkpoint: Path, small: np.ndarray) -> None:
    loaded = Pair.load(tiny_checkpoint)
    assert loaded.classes == tiny_pair.classes
    assert loaded.preprocessing == tiny_pair.preprocessing
    assert loaded.temperatures == {"teacher": 1.25, "student": 1.5}
    assert loaded.settings == tiny_pair.settings
    assert loaded.sizes == {"teacher": 64, "student": 64}
    assert (loaded.name, loaded.path) == ("tiny", tiny_checkpoint)
    assert loaded.info["metrics"] == tiny_pair.info["metrics"]
    for name, network in tiny_pair.networks.items():
        before, after = (n(tiny_pair.tensor(name, small)) for n in (network, loaded.networks[name]))
        # fp16 keeps 11 bits; these logits are of size 1.
        torch.testing.assert_close(before.logits, after.logits, rtol=0, atol=0.03)
        answers = tiny_pair.auxiliary[name](before.stages), loaded.auxiliary[name](after.stages)
        assert [a is None for a in answers[1]] == [True, False, False, True]
        for one, other in zip(*answers, strict=True):
            assert one is None or torch.allclose(one, other, atol=0.03)
        assert loaded.networks[name].fresh == ()


def test_saving_again_changes_no_bit(tiny_checkpoint: Path, tmp_path: Path) -> None:
    Pair.load(tiny_checkpoint).save(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(tiny_checkpoint)


def test_a_pair_is_in_eval_and_needs_no_gradient(tiny_pair: Pair, tiny_checkpoint: Path) -> None:
    for pair in (tiny_pair, Pair.load(tiny_checkpoint)):
        for part in [*pair.networks.values(), *pair.auxiliary.values()]:
            assert not any(module.training for module in part.modules())
            assert not any(parameter.requires_grad for parameter in part.parameters())
            assert not any(value.is_meta for value in [*part.parameters(), *part.buffers()])


def test_stored_kinds_of_numbers(tiny_checkpoint: Path) -> None:
    state = load_file(tiny_checkpoint / "teacher.safetensors")
    assert state["conv1.weight"].dtype is torch.float16
    assert state["bn1.running_var"].dtype is state["fc.bias"].dtype is torch.float32


def test_costs(tiny_checkpoint: Path, tiny_pair: Pair) -> None:
    loaded = Pair.load(tiny_checkpoint)
    for name, network in loaded.networks.items():
        costs = loaded.costs(name)
        assert costs["parameters"] == sum(p.numel() for p in network.network.parameters())
        assert costs["bytes"] == (tiny_checkpoint / f"{name}.safetensors").stat().st_size
        assert costs["multiply_adds"] == tiny_pair.costs(name)["multiply_adds"] > 0
        # Not saved yet: what it would take, but for the file's header.
        assert 0 < costs["bytes"] - tiny_pair.costs(name)["bytes"] < 100_000


def test_a_student_trained_alone_may_come_along(tiny_checkpoint: Path, tmp_path: Path, small: np.ndarray) -> None:
    pair = Pair.load(tiny_checkpoint)
    assert "student-alone" not in pair.networks
    alone = copy.deepcopy(pair.networks["student"])
    alone.head_bias[0] += 3
    networks = {**pair.networks, "student-alone": alone}
    settings = {**pair.settings, "student-alone": pair.settings["student"]}
    Pair(pair.classes, pair.preprocessing, networks, settings, {}, {"student-alone": 2.0}).save(tmp_path / "three")
    loaded = Pair.load(tmp_path / "three")
    assert list(loaded.networks) == ["teacher", "student", "student-alone"]
    assert loaded.temperatures == {"teacher": 1.0, "student": 1.0, "student-alone": 2.0}
    assert loaded.auxiliary == {}
    assert (loaded.name, loaded.info["auxiliary"]) == ("three", None)
    images = loaded.tensor("student-alone", small)
    gap = loaded.networks["student-alone"](images).logits - loaded.networks["student"](images).logits
    torch.testing.assert_close(gap, torch.tensor([3.0, 0, 0, 0]).expand(3, -1), atol=1e-5, rtol=0)


def test_constants_that_no_file_holds_survive(tmp_path: Path, small: np.ndarray) -> None:
    """timm's blur kernels are no part of the state; loading must make them anew."""
    settings = NetworkSettings(backbone="timm:resnetblur18", size=64)
    student = NetworkSettings(backbone="shufflenet_v2_x0_5", size=64)
    pair = Pair.build(settings, student, ("a", "b"), Preprocessing())
    pair.save(tmp_path / "blur")
    loaded = Pair.load(tmp_path / "blur")
    images = pair.tensor("teacher", small)
    torch.testing.assert_close(
        pair.networks["teacher"](images).logits, loaded.networks["teacher"](images).logits, atol=0.05, rtol=0.05
    )


# Foreign, missing, truncated, altered.


@pytest.mark.parametrize("name", ["pair.json", "teacher.safetensors", "student.safetensors", "auxiliary.safetensors"])
@pytest.mark.parametrize("fate", ["missing", "truncated", "altered"])
def test_a_damaged_file_is_named_in_one_sentence(copied: Path, name: str, fate: str) -> None:
    path = copied / name
    data = path.read_bytes()
    if fate == "missing":
        path.unlink()
    else:
        damaged = data[: len(data) // 2] if fate == "truncated" else data[:-9] + bytes([data[-9] ^ 255]) + data[-8:]
        path.write_bytes(damaged)
    before = contents(copied)
    with pytest.raises(FoodkdError) as caught:
        Pair.load(copied)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert contents(copied) == before


@pytest.mark.parametrize(
    "edit",
    [
        lambda i: i.pop("classes"),
        lambda i: i.update(classes="disc"),
        lambda i: i.update(classes=["a", "a", "b", "c"]),
        lambda i: i.update(classes=["a", "b", "c"]),
        lambda i: i.update(preprocessing={"resolution": -1}),
        lambda i: i.update(networks=["teacher"]),
        lambda i: i["networks"].pop("student"),
        lambda i: i["networks"].update(teacher=3),
        lambda i: i["networks"]["teacher"].pop("sha256"),
        lambda i: i["networks"]["teacher"].update(temperature="warm"),
        lambda i: i["networks"]["teacher"].update(temperature=-1.0),
        lambda i: i["networks"]["teacher"]["settings"].update(backbone="resnet19"),
        lambda i: i["networks"]["teacher"]["settings"].update(backbone="resnet34"),
        lambda i: i["networks"]["teacher"]["settings"].update(wings=2),
        lambda i: i["auxiliary"].update(stages=[7]),
        lambda i: i["auxiliary"].update(of=["parrot"]),
        lambda i: i.update(auxiliary="none"),
        lambda i: i.update(format=99),
    ],
)
def test_a_garbled_description_is_one_sentence(copied: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    change(copied, edit)
    with pytest.raises(FoodkdError) as caught:
        Pair.load(copied)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[1, 2]", "{}", '{"format": "other"}', "no json", ""])
def test_a_foreign_pair_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "pair.json").write_text(text)
    with pytest.raises(FoodkdError, match=r"pair\.json"):
        Pair.load(tmp_path)


def test_a_file_that_is_no_safetensors_but_has_the_right_hash(copied: Path) -> None:
    (copied / "teacher.safetensors").write_bytes(b"hello")
    digest = sha256(copied / "teacher.safetensors")
    change(copied, lambda info: info["networks"]["teacher"].update(sha256=digest))
    with pytest.raises(FoodkdError, match=r"teacher\.safetensors is not a readable"):
        Pair.load(copied)


def test_weights_that_do_not_fit(copied: Path) -> None:
    save_file({"fc.weight": torch.zeros(2, 2)}, copied / "teacher.safetensors")
    digest = sha256(copied / "teacher.safetensors")
    change(copied, lambda info: info["networks"]["teacher"].update(sha256=digest))
    with pytest.raises(FoodkdError, match=r"teacher\.safetensors does not fit"):
        Pair.load(copied)


# Saving.


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_save_that_fails_half_way_leaves_everything(
    tiny_pair: Pair, copied: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """The disk is full at the first, second or third file."""
    pair, before, written = Pair.load(copied), contents(copied), []
    info = copy.deepcopy(pair.info)

    def full(state: dict[str, torch.Tensor], path: Path) -> None:
        written.append(path)
        path.write_bytes(b"half")
        if len(written) == moment:
            raise OSError("No space left on device")

    monkeypatch.setattr(pair_module, "_write", full)
    pair.classes = tuple("abcd")
    with pytest.raises(OSError, match="No space"):
        pair.save(copied, replace=True)
    assert contents(copied) == before
    assert pair.info == info
    with pytest.raises(OSError, match="No space"):
        written.clear()
        pair.save(copied.parent / "new")
    assert [path.name for path in copied.parent.iterdir()] == ["copy"]


def test_values_json_cannot_hold_leave_everything(copied: Path) -> None:
    pair, before = Pair.load(copied), contents(copied)
    pair.info["metrics"] = {"top1": np.float32(0.5)}
    with pytest.raises(TypeError):
        pair.save(copied, replace=True)
    assert contents(copied) == before


def test_a_checkpoint_is_replaced_only_on_demand(copied: Path) -> None:
    pair, before = Pair.load(copied), contents(copied)
    with pytest.raises(FoodkdError, match="not empty"):
        pair.save(copied)
    assert contents(copied) == before
    pair.info["note"] = "neu: Käsespätzle"
    pair.save(copied, replace=True)
    assert Pair.load(copied).info["note"] == "neu: Käsespätzle"


def test_other_things_are_never_replaced(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").touch()
    with pytest.raises(FoodkdError, match="other things than a checkpoint"):
        Pair.load(tiny_checkpoint).save(tmp_path / "photos", replace=True)
    assert (tmp_path / "photos" / "holiday.jpg").is_file()


# From the Hub, without a network.


def test_a_hub_id_is_fetched(monkeypatch: pytest.MonkeyPatch, tiny_checkpoint: Path, tmp_path: Path) -> None:
    import huggingface_hub

    asked: list[str] = []

    def snapshot(repository: str, **_options: object) -> str:
        asked.append(repository)
        return str(tiny_checkpoint)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.chdir(tmp_path)
    assert Pair.load("someone/food101-64").classes
    assert asked == ["someone/food101-64"]
    for local in ("checkpoints/none", "./none", "../none", str(tmp_path / "none"), "none"):
        with pytest.raises(FoodkdError, match="holds no checkpoint"):
            Pair.load(local)
    assert len(asked) == 1


@pytest.mark.parametrize("error", [OSError("offline\nlong story"), ValueError("Repo id must be short"), OSError()])
def test_an_unreachable_hub_is_one_sentence(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    import huggingface_hub

    def unreachable(*_arguments: object, **_options: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(FoodkdError, match="someone/food") as caught:
        Pair.load("someone/food")
    assert "\n" not in str(caught.value)
