"""Colours that stay apart for colour-blind readers, and their blends."""

from __future__ import annotations

import numpy as np

from mixtura.ground.linalg import Array

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
TOL_MUTED = ("#882255", "#332288", "#999933", "#555555", "#44AA99", "#AA4499")
PALETTE = np.array([[int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)] for code in OKABE_ITO + TOL_MUTED])
"""Twelve colours ``(12, 3)``: Okabe and Ito (2008) without black and yellow, then Paul Tol's muted ones."""

INK = "#333333"
PAPER = "#D9D9D9"
MARKERS = "osD^vP*XhpdH<>"


def component_colours(n_components: int) -> Array:
    """Colours of the components, ``(K, 3)``: by place, so that a component keeps its colour in every picture."""
    return PALETTE[np.arange(n_components) % len(PALETTE)]


def blended(responsibilities: Array) -> Array:
    """Colours of rows, ``(N, 3)``: the components' colours mixed in the proportions of the responsibilities ``(N, K)``."""
    return np.clip(responsibilities @ component_colours(responsibilities.shape[1]), 0.0, 1.0)


def readable_on(colour: Array) -> str:
    """Black or white, whichever is read more easily on that colour."""
    return "black" if colour @ np.array([0.299, 0.587, 0.114]) > 0.6 else "white"


def shades(n: int) -> Array:
    """``n`` blues from pale to full, ``(n, 3)``."""
    pale, full = np.array([0.90, 0.94, 0.98]), np.array([0.42, 0.62, 0.80])
    return pale + np.linspace(0.0, 1.0, n)[:, None] * (full - pale) if n > 1 else full[None]
