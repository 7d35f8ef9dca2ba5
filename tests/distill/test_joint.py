"""One step of both networks: who learns from what, how often each runs, and that every term can be learnt."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from foodkd.distill import DistillSettings, JointDistiller
from foodkd.errors import FoodkdError
from foodkd.nets import NetworkSettings, Pair, TappedClassifier
from tests.distill import reference
from tests.distill.conftest import CLASSES, SIZE, Distiller, toy

TERMS: dict[str, dict[str, Any]] = {
    "kd": {"kd": 1.0},
    "mld": {"mld": 1.0},
    "mld-without-ce": {"mld": 1.0, "mld_ce": 0.0},
    "mld-features": {"mld": 1.0, "mld_form": "features"},
    "iam": {"iam": 1.0},
    "iam-top": {"iam": 1.0, "iam_classes": "top", "iam_top": 2},
    "iam-all": {"iam": 1.0, "iam_classes": "all"},
}


def term(settings: dict[str, Any]) -> str:
    return next(name for name in ("kd", "mld", "iam") if settings.get(name))


def moved(module: nn.Module) -> bool:
    """Whether any gradient other than zero reached it."""
    return any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters())


def statistics(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.named_buffers()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


# Who learns.


@pytest.mark.parametrize("reverse", [0.0, 0.4])
@pytest.mark.parametrize("settings", TERMS.values(), ids=TERMS)
def test_each_term_moves_exactly_the_networks_it_should(
    distiller: Distiller, images: Tensor, labels: Tensor, settings: dict[str, Any], reverse: float
) -> None:
    joint = distiller(reverse=reverse, **settings)
    joint(images, labels)[term(settings)].backward()
    # A stage's own cross entropy always reaches both trunks; that is no distillation.
    own = settings.get("mld") and settings.get("mld_form") != "features" and settings.get("mld_ce") != 0.0
    assert moved(joint.networks["student"])
    assert moved(joint.networks["teacher"]) is bool(reverse or own)
    for parts in (joint.auxiliary, joint.projections):
        for name, part in parts.items():
            assert moved(part) is bool(name == "student" or reverse or own)


@pytest.mark.parametrize("settings", TERMS.values(), ids=TERMS)
def test_a_teacher_is_moved_in_proportion_to_the_reverse_weight(
    distiller: Distiller, images: Tensor, labels: Tensor, settings: dict[str, Any]
) -> None:
    pulls = []
    for reverse in (0.0, 0.25, 0.5):
        joint = distiller(reverse=reverse, **settings)
        joint(images, labels)[term(settings)].backward()
        weight = joint.networks["teacher"].network.stage0[0].weight
        pulls.append(torch.zeros_like(weight) if weight.grad is None else weight.grad)
    torch.testing.assert_close(pulls[2] - pulls[0], 2 * (pulls[1] - pulls[0]), rtol=1e-3, atol=1e-6)
    assert (pulls[2] - pulls[0]).abs().sum() > 0


def test_cross_entropies_move_their_own_network(distiller: Distiller, images: Tensor, labels: Tensor) -> None:
    for name, other in (("teacher", "student"), ("student", "teacher")):
        joint = distiller(kd=1.0)
        joint(images, labels)[f"ce_{name}"].backward()
        assert moved(joint.networks[name]) and not moved(joint.networks[other])


@pytest.mark.parametrize("into_head", [False, True])
@pytest.mark.parametrize("reverse", [0.0, 0.5])
def test_iam_reaches_the_last_layer_by_setting_only(
    distiller: Distiller, images: Tensor, labels: Tensor, into_head: bool, reverse: float
) -> None:
    joint = distiller(iam=1.0, iam_into_head=into_head, reverse=reverse)
    joint(images, labels)["iam"].backward()
    assert moved(joint.networks["student"].last) is into_head
    assert moved(joint.networks["teacher"].last) is (into_head and reverse > 0)


def test_distillation_aims_at_logits_before_dropout(distiller: Distiller, images: Tensor, labels: Tensor) -> None:
    joint = distiller(kd=1.0, dropout=0.9)
    first, second = joint(images, labels), joint(images, labels)
    assert torch.equal(first["kd"], second["kd"])
    assert not torch.equal(first["ce_student"], second["ce_student"])


# Modes.


ALL = {"kd": 1.0, "mld": 0.2, "iam": 1.0}


@pytest.mark.parametrize("form", ["classifiers", "features"])
@pytest.mark.parametrize("into_head", [False, True])
def test_one_way_leaves_the_teacher_as_it_is(
    distiller: Distiller, images: Tensor, labels: Tensor, form: str, into_head: bool
) -> None:
    joint = distiller(mode="one-way", reverse=0.5, mld_form=form, iam_into_head=into_head, **ALL)
    joint.train()
    teacher, student = joint.networks["teacher"], joint.networks["student"]
    before = [copy.deepcopy(network.state_dict()) for network in (teacher, student)]
    joint(images, labels)["loss"].backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert same(before[0], teacher.state_dict())
    assert not same(statistics(student), {k: v for k, v in before[1].items() if k in statistics(student)})
    assert moved(student)
    assert (teacher.training, student.training) == (False, True)


def test_one_way_has_no_reverse_direction(distiller: Distiller, images: Tensor, labels: Tensor) -> None:
    terms = [distiller(mode="one-way", reverse=r, **ALL)(images, labels) for r in (0.0, 0.7)]
    for name, value in terms[0].items():
        assert torch.equal(value, terms[1][name]), name


def test_joint_moves_both_networks_statistics(distiller: Distiller, images: Tensor, labels: Tensor) -> None:
    joint = distiller(**ALL)
    before = {name: statistics(network) for name, network in joint.networks.items()}
    joint(images, labels)
    for name, network in joint.networks.items():
        after = statistics(network)
        assert not any(torch.equal(before[name][key], after[key]) for key in after), name
    joint.eval()
    before = {name: statistics(network) for name, network in joint.networks.items()}
    joint(images, labels)
    assert all(same(before[name], statistics(network)) for name, network in joint.networks.items())


@pytest.mark.parametrize(("mode", "runs"), [("student-alone", "student"), ("teacher-alone", "teacher")])
def test_a_network_alone_never_runs_the_other(
    distiller: Distiller, images: Tensor, labels: Tensor, mode: str, runs: str
) -> None:
    joint = distiller(mode=mode, **ALL)
    counted = count_passes(joint)
    terms = joint(images, labels)
    assert counted == {runs: 1}
    assert set(terms) == {"loss", f"ce_{runs}"}
    assert torch.equal(terms["loss"], terms[f"ce_{runs}"])
    assert len(joint.auxiliary) == 0


def count_passes(joint: JointDistiller) -> dict[str, int]:
    counted: dict[str, int] = {}
    for name, network in joint.networks.items():

        def count(*_: object, name: str = name) -> None:
            counted[name] = counted.get(name, 0) + 1

        network.network.stage3.register_forward_hook(count)
    return counted


@pytest.mark.parametrize("mode", ["joint", "one-way"])
@pytest.mark.parametrize("form", ["classifiers", "features"])
def test_one_pass_per_network(distiller: Distiller, images: Tensor, labels: Tensor, mode: str, form: str) -> None:
    joint = distiller(mode=mode, mld_form=form, reverse=0.3, **ALL)
    counted = count_passes(joint)
    joint(images, labels)["loss"].backward()
    assert counted == {"teacher": 1, "student": 1}


def test_the_head_start_belongs_to_the_teacher(distiller: Distiller, images: Tensor, labels: Tensor) -> None:
    joint = distiller(head_start=0.25, kd_ramp=0.5, **{**ALL, "iam": 0})
    counted = count_passes(joint)
    early = joint(images, labels, 0.2)
    assert set(early) == {"loss", "ce_teacher"} and counted == {"teacher": 1}
    assert torch.equal(early["loss"], early["ce_teacher"])
    assert "ce_student" in joint(images, labels, 0.25)
    assert joint.settings.student_progress(0.25) == 0
    assert joint.settings.student_progress(1.0) == 1


@pytest.mark.parametrize("mode", ["one-way", "student-alone", "teacher-alone"])
def test_nobody_else_waits_for_a_head_start(distiller: Distiller, images: Tensor, labels: Tensor, mode: str) -> None:
    joint = distiller(mode=mode, head_start=0.5, **ALL)
    assert joint(images, labels, 0.0)["loss"] > 0
    assert joint.settings.student_progress(0.3) == 0.3


# The total.

_ONE = toy()


@given(st.floats(0, 1), st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.floats(0, 0.8))
@hypothesis_settings(max_examples=30, deadline=None)
def test_weights_grow_linearly(progress: float, ramp: float, head_start: float) -> None:
    ramps = {"kd_ramp": ramp, "mld_ramp": ramp / 2, "iam_ramp": 1.0}
    settings = DistillSettings(kd=2.0, mld=0.5, iam=3.0, head_start=head_start, **ramps)
    joint = JointDistiller(_ONE, _ONE, settings, sizes=(SIZE, SIZE))
    own = max(0.0, (progress - head_start) / (1 - head_start))
    for name, weight, over in (("kd", 2.0, ramp), ("mld", 0.5, ramp / 2), ("iam", 3.0, 1.0)):
        expected = weight * (min(1.0, own / over) if over else 1.0)
        assert joint._total({name: torch.tensor(1.0)}, own).item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_named_terms_add_up(distiller: Distiller, images: Tensor, labels: Tensor) -> None:
    stages = (0.5, 0.0, 0.75, 0.25)
    joint = distiller(kd=0.7, mld=0.3, iam=2.0, student_ce=0.4, mld_stages=stages, reverse=0.2)
    terms = joint(images, labels)
    assert set(terms) == {"loss", "ce_teacher", "ce_student", "kd", "mld", "iam", "mld/0", "mld/2", "mld/3"}
    mld = sum(stages[i] * terms[f"mld/{i}"] for i in (0, 2, 3))
    torch.testing.assert_close(terms["mld"], mld)
    total = terms["ce_teacher"] + 0.4 * terms["ce_student"] + 0.7 * terms["kd"] + 0.3 * mld + 2 * terms["iam"]
    torch.testing.assert_close(terms["loss"], total)
    half = distiller(kd=0.7, kd_ramp=0.5)(images, labels, 0.25)
    torch.testing.assert_close(half["loss"], half["ce_teacher"] + half["ce_student"] + 0.35 * half["kd"])


@pytest.mark.parametrize("reverse", [0.0, 0.3])
@pytest.mark.parametrize("kind", ["labels", "mixed"])
def test_every_term_against_numpy(
    distiller: Distiller, images: Tensor, labels: Tensor, mixed: Tensor, reverse: float, kind: str
) -> None:
    targets = labels if kind == "labels" else mixed
    joint = distiller(kd=1, mld=1, iam=1, reverse=reverse, temperature=3.0, mld_ce=0.6, student_smoothing=0.1).eval()
    terms = {name: value.item() for name, value in joint(images, targets).items()}
    y = targets.numpy()
    with torch.no_grad():
        tapped = [joint.networks[name](images) for name in ("teacher", "student")]
        answers = [joint.auxiliary[n](t.stages) for n, t in zip(("teacher", "student"), tapped, strict=True)]
    logits = [t.logits.numpy() for t in tapped]
    softened = lambda a, b: reference.kl(a, b, 3.0)  # noqa: E731
    assert terms["ce_teacher"] == pytest.approx(reference.cross_entropy(logits[0], y), rel=1e-4)
    assert terms["ce_student"] == pytest.approx(reference.cross_entropy(logits[1], y, 0.1), rel=1e-4)
    assert terms["kd"] == pytest.approx(reference.both_ways(softened, *logits, reverse), rel=1e-3, abs=1e-6)
    for i in (1, 2):
        stage = [a[i].numpy() for a in answers]
        expected = 0.6 * sum(reference.cross_entropy(z, y) for z in stage)
        expected += reference.both_ways(softened, *stage, reverse)
        assert terms[f"mld/{i}"] == pytest.approx(expected, rel=1e-3)
    heads = [joint.networks[name].head_weight.detach().numpy() for name in ("teacher", "student")]
    maps = [reference.maps(t.stages[-1].numpy(), w, y) for t, w in zip(tapped, heads, strict=True)]
    flat = [m.reshape(8, 1, -1) for m in maps]  # both grids lie alike
    centred = lambda a, b: reference.distance(a, b, centred=True)  # noqa: E731
    assert terms["iam"] == pytest.approx(reference.both_ways(centred, *flat, reverse), abs=1e-4)


def test_feature_matching_against_numpy(distiller: Distiller, images: Tensor, labels: Tensor) -> None:
    joint = distiller(mld=1.0, mld_form="features", reverse=0.3).eval()
    terms = joint(images, labels)
    for i in (1, 2):
        projected = []
        for name in ("teacher", "student"):
            features = joint.networks[name](images).stages[i].detach().double().numpy()
            weight = joint.projections[name][str(i)].weight.detach().double().numpy()[:, :, 0, 0]
            projected.append(np.einsum("oc,bchw->bohw", weight, features).reshape(8, 8, -1))
        plain = lambda a, b: reference.distance(a, b, centred=False)  # noqa: E731
        expected = reference.both_ways(plain, *projected, 0.3)
        assert terms[f"mld/{i}"].item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("less_mean", [False, True])
def test_maps_of_networks_with_other_grids_against_numpy(images: Tensor, labels: Tensor, less_mean: bool) -> None:
    """A teacher at twice the input side: resampled by NumPy's own interpolation."""
    large = torch.nn.functional.interpolate(images, scale_factor=2, mode="bilinear")
    off = DistillSettings(kd=0, mld=0, iam=1, iam_ramp=0, reverse=0, iam_own=less_mean)
    joint = JointDistiller(toy(8, 3, seed=1), toy(4, 5, seed=2), off, sizes=(2 * SIZE, SIZE)).eval()
    found = joint((large, images), labels)["iam"].item()
    flat, cells = [], []
    for name, given_ in (("teacher", large), ("student", images)):
        stage = joint.networks[name].geometry(given_.shape[-1])[-1]
        cells.append((stage.start + 0.5 + stage.step * np.arange(stage.height)) / given_.shape[-1])
        weight = joint.networks[name].head_weight.detach().numpy()
        flat.append(reference.maps(joint.networks[name](given_).stages[-1].detach().numpy(), weight, labels.numpy()))
    places = np.linspace(max(c[0] for c in cells), min(c[-1] for c in cells), 4)
    resampled = [
        np.stack([reference.resampled(one[0], own, places).ravel() for one in maps])[:, None]
        for maps, own in zip(flat, cells, strict=True)
    ]
    if less_mean:
        resampled = [one - one.mean(0) for one in resampled]
    assert found == pytest.approx(reference.distance(*resampled, centred=True), abs=1e-3)


def test_photos_that_are_all_alike_have_nothing_of_their_own(
    distiller: Distiller, images: Tensor, labels: Tensor
) -> None:
    alike = images[:1].repeat(len(images), 1, 1, 1), labels[:1].repeat(len(labels))
    assert distiller(iam=1.0).eval()(*alike)["iam"] > 0.01
    for given_ in (alike, (images[:1], labels[:1])):
        joint = distiller(iam=1.0, iam_own=True).eval()
        found = joint(*given_)
        found["loss"].backward()
        assert found["iam"] == 0
        assert all(p.grad is None or p.grad.isfinite().all() for p in joint.parameters())


# Mixed photos.


def test_skipped_photos_contribute_nothing(distiller: Distiller, images: Tensor, mixed: Tensor) -> None:
    """Of 8 photos 4 are mixed: skipping them leaves the pure ones' share, and no gradient from the others."""
    joint = distiller(iam=1.0, iam_mixed="skip", reverse=0.0).eval()
    images.requires_grad_()
    skipped = joint(images, mixed)["iam"]
    skipped.backward()
    assert images.grad is not None
    assert torch.equal(images.grad[:4], torch.zeros_like(images.grad[:4]))
    assert images.grad[4:].abs().sum() > 0
    pure = distiller(iam=1.0, reverse=0.0).eval()(images[4:], mixed[4:].argmax(1))["iam"]
    torch.testing.assert_close(skipped, pure / 2)


def test_mixed_photos_mix_their_maps(distiller: Distiller, images: Tensor, mixed: Tensor) -> None:
    joint = distiller(iam=1.0, iam_mixed="mix").eval()
    assert not torch.allclose(joint(images, mixed)["iam"], joint(images, mixed.argmax(1))["iam"])


# Numbers.


@pytest.mark.parametrize("settings", TERMS.values(), ids=TERMS)
def test_dead_networks_stay_finite(
    distiller: Distiller, images: Tensor, labels: Tensor, settings: dict[str, Any]
) -> None:
    """A student whose last features are all zero, and a teacher whose are tiny."""
    joint = distiller(reverse=0.5, **settings).eval()
    for name, size in (("student", 0.0), ("teacher", 1e-9)):
        for stage in ("stage1", "stage2", "stage3"):
            norm = getattr(joint.networks[name].network, stage)[1]
            nn.init.constant_(norm.weight, size)
            nn.init.constant_(norm.bias, -size)
    terms = joint(images, labels)
    terms["loss"].backward()
    assert all(bool(torch.isfinite(value)) for value in terms.values())
    assert all(bool(torch.isfinite(p.grad).all()) for p in joint.parameters() if p.grad is not None)
    if "iam" in terms:
        assert terms["iam"].item() == 0


@pytest.mark.parametrize("outer", [False, True])
def test_networks_in_bfloat16_give_terms_in_float32(
    distiller: Distiller, images: Tensor, labels: Tensor, outer: bool
) -> None:
    """Also where the caller has autocast on by himself."""
    exact = distiller(reverse=0.2, **ALL).eval()(images, labels)
    seen: list[torch.dtype] = []
    joint = distiller(reverse=0.2, precision=("bfloat16", "float32"), **ALL).eval()
    for name in ("teacher", "student"):
        joint.networks[name].network.stage3.register_forward_hook(lambda m, i, out: seen.append(out.dtype))
    with torch.autocast("cpu", torch.bfloat16, enabled=outer):
        rough = joint(images, labels)
    assert seen == [torch.bfloat16, torch.float32]
    for name, value in rough.items():
        assert value.dtype is torch.float32
        assert value.item() == pytest.approx(exact[name].item(), rel=0.1, abs=0.05), name
    rough["loss"].backward()
    assert all(p.grad.dtype is torch.float32 for p in joint.parameters() if p.grad is not None)


@pytest.mark.parametrize("settings", TERMS.values(), ids=TERMS)
def test_every_term_falls_when_it_alone_is_optimised(
    distiller: Distiller, images: Tensor, labels: Tensor, settings: dict[str, Any]
) -> None:
    joint = distiller(reverse=0.5, **settings)
    optimizer = torch.optim.Adam(joint.parameters(), lr=3e-3)
    values = []
    for _ in range(25):
        loss = joint(images, labels)[term(settings)]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert min(values[-3:]) < 0.8 * values[0], values


def test_iam_is_blind_to_one_vector_added_to_all_rows(distiller: Distiller, images: Tensor, labels: Tensor) -> None:
    joint = distiller(iam=1.0, reverse=0.3).eval()
    network = joint.networks["student"]
    before, answers = joint(images, labels)["iam"], network(images).logits.softmax(1)
    with torch.no_grad():
        network.last.weight += 3 * torch.randn(network.last.in_features)
    torch.testing.assert_close(joint(images, labels)["iam"], before, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(network(images).logits.softmax(1), answers, rtol=1e-3, atol=1e-4)


# Settings.


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "both"},
        {"kd": -1},
        {"temperature": 0},
        {"reverse": 1.5},
        {"mld_stages": (0.5, -0.5, 0, 0)},
        {"head_start": 1.0},
        {"iam_classes": "some"},
        {"iam_top": 0},
        {"iam_floor": 0},
        {"teacher_smoothing": 1.0},
        {"kd_weight": 1.0},
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DistillSettings(**settings)


def test_networks_that_cannot_be_compared_are_one_sentence() -> None:
    def build(teacher: TappedClassifier, student: TappedClassifier, **settings: Any) -> None:
        JointDistiller(teacher, student, DistillSettings(**settings), sizes=(SIZE, SIZE))

    other = toy()
    other.network.fc = nn.Linear(other.network.fc.in_features, CLASSES + 1)
    three = toy()
    three.taps = three.taps[1:]
    hidden = NetworkSettings(backbone="mobilenet_v3_small", output_stride=16).build(CLASSES)
    small = NetworkSettings(backbone="resnet18").build(CLASSES)
    for make, sentence in (
        (lambda: build(toy(), other), "4 classes and the student 5"),
        (lambda: build(toy(), three), "the teacher 4 stages and the student 3"),
        (lambda: build(toy(), toy(), mld_stages=(1, 1)), "has 2 weights"),
        (lambda: build(toy(), toy(), mld_stages=(0, 0, 0, 0)), "no weight above 0"),
        (lambda: build(toy(), hidden), "the student does not; use ResNet"),
        (lambda: build(small, toy()), "teacher's maps have 1 x 1 cells at 32 px"),
    ):
        with pytest.raises(FoodkdError, match=sentence) as caught:
            make()
        assert "\n" not in str(caught.value)
    build(hidden, three, iam=0, mld=0)
    build(toy(), small, mode="teacher-alone")


# Real networks.


def test_a_real_pair_takes_one_step(tiny_pair: Pair) -> None:
    """ResNet-18 and MobileNetV2 with every term on: 2 x 2 against 4 x 4 cells."""
    networks = copy.deepcopy(tiny_pair.networks)
    for network in networks.values():
        network.requires_grad_(True)
    torch.manual_seed(0)
    settings = DistillSettings(reverse=0.1, kd_ramp=0, mld_ramp=0, iam_ramp=0)
    joint = JointDistiller(networks["teacher"], networks["student"], settings, sizes=(64, 64)).train()
    optimizer = torch.optim.SGD(joint.parameters(), lr=0.02)
    images, labels = torch.randn(8, 3, 64, 64), torch.arange(8) % 4
    losses = []
    for _ in range(4):
        terms = joint(images, labels)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        losses.append(terms["loss"].item())
    assert set(terms) == {"loss", "ce_teacher", "ce_student", "kd", "mld", "mld/1", "mld/2", "iam"}
    assert losses[-1] < losses[0]
    assert all(p.grad is not None for p in joint.parameters())
