"""Networks whose stages can be tapped, and pairs of them."""

from foodkd.nets.auxiliary import AuxiliaryClassifiers
from foodkd.nets.backbones import NetworkSettings, available_networks, build_network
from foodkd.nets.geometry import Stage
from foodkd.nets.pair import Pair
from foodkd.nets.tapped import Tapped, TappedClassifier, centred

__all__ = [
    "AuxiliaryClassifiers",
    "NetworkSettings",
    "Pair",
    "Stage",
    "Tapped",
    "TappedClassifier",
    "available_networks",
    "build_network",
    "centred",
]
