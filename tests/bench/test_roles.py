"""Exchanged roles: the same networks, answers and classifiers under each other's name, there and back."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.roles import OTHER, exchange
from foodkd.nets import Pair


def test_each_network_takes_the_others_place_with_all_that_belongs_to_it(tiny_checkpoint: Path, tmp_path: Path) -> None:
    pair = Pair.load(tiny_checkpoint)
    pair.info["trained"] = ["student"]
    made = Pair.load(exchange(pair).save(tmp_path / "exchanged"))
    assert made.info["trained"] == ["teacher"] and made.info["exchanged"]
    for name, other in OTHER.items():
        assert made.settings[name].backbone == pair.settings[other].backbone
        assert made.sizes[name] == pair.sizes[other] and made.temperatures[name] == pair.temperatures[other]
        small = torch.randint(0, 256, (2, *2 * [pair.preprocessing.resolution], 3), dtype=torch.uint8)
        first, second = pair.networks[other](pair.tensor(other, small)), made.networks[name](made.tensor(name, small))
        assert torch.equal(first.logits, second.logits)
        for before, after in zip(first.stages, second.stages, strict=True):
            assert torch.equal(before, after)
        answers = pair.auxiliary[other](first.stages), made.auxiliary[name](second.stages)
        assert [one is None for one in answers[0]] == [two is None for two in answers[1]] and any(
            o is not None for o in answers[0]
        )
        assert all(torch.equal(one, two) for one, two in zip(*answers, strict=True) if one is not None)


def test_back_again_is_where_it_began(tiny_checkpoint: Path) -> None:
    pair = Pair.load(tiny_checkpoint)
    back = exchange(exchange(pair))
    assert all(back.networks[name] is pair.networks[name] for name in OTHER)
    assert back.settings == {name: pair.settings[name] for name in OTHER}
    assert not back.info["exchanged"] and set(back.info["trained"]) == set(OTHER)
