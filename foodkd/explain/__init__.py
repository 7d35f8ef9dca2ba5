"""Looking: activation maps of both networks, how alike they are, and pictures of them."""

from foodkd.explain.compare import (
    Agreement,
    MapComparison,
    Measures,
    agreement,
    compare,
    measure_agreement,
    on_photo,
    shipped_agreement,
)
from foodkd.explain.export import write_explanation
from foodkd.explain.faithfulness import (
    Covered,
    Curve,
    Faithfulness,
    RandomisedStep,
    cover_up,
    faithfulness,
    randomisation,
)
from foodkd.explain.maps import (
    METHOD_TITLES,
    METHODS,
    ActivationMap,
    Evidence,
    Explanation,
    Explanations,
    needs_class,
)
from foodkd.explain.names import find_class, readable

__all__ = [
    "METHODS",
    "METHOD_TITLES",
    "ActivationMap",
    "Agreement",
    "Covered",
    "Curve",
    "Evidence",
    "Explanation",
    "Explanations",
    "Faithfulness",
    "MapComparison",
    "Measures",
    "RandomisedStep",
    "agreement",
    "compare",
    "cover_up",
    "faithfulness",
    "find_class",
    "measure_agreement",
    "needs_class",
    "on_photo",
    "randomisation",
    "readable",
    "shipped_agreement",
    "write_explanation",
]
