"""The objective: each term a pure function (losses), both networks and every term in one step (joint)."""

from foodkd.distill.joint import DistillSettings, JointDistiller
from foodkd.distill.losses import (
    common_grid,
    divergence,
    feature_distance,
    instance_maps,
    map_distance,
    mutual,
)

__all__ = [
    "DistillSettings",
    "JointDistiller",
    "common_grid",
    "divergence",
    "feature_distance",
    "instance_maps",
    "map_distance",
    "mutual",
]
