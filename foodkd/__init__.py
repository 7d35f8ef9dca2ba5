"""foodkd: joint distillation of a large teacher and a compact student for food photos, and maps of where both look."""

__version__ = "0.1.0"
