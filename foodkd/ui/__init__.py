"""The app: one photo, two networks, and where both look. One file per tab; nothing here computes what `explain` can."""

from foodkd.ui.page import build_app, launch

__all__ = ["build_app", "launch"]
