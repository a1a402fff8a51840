"""The configured detector: a recipe of `density` with the settings of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from density import (
    Anode,
    AtMost,
    Autoencoder,
    BoostedTrees,
    Bound,
    Bounds,
    Cathode,
    ConditionalFlow,
    Cwola,
    Detector,
    Ensemble,
    FlowTransport,
    LaCathode,
    RAnode,
    Unbounded,
    Window,
)
from via_machinae.config import Config

__all__ = ["DETECTOR_NAMES", "detector_of"]


def detector_of(
    config: Config, names: tuple[str, ...], m: Float[np.ndarray, " n"], window: Window
) -> Detector:
    """The detector that a configuration names, for one window.

    Args:
        config: its sections `detector`, `flow`, `windows` and `cuts` are read.
        names: the features, in the order of their columns.
        m: resonant feature of all stars, shape (n,), mas/yr.
        window: the window; CWoLa chooses its sidebands by it.
    """
    flow = ConditionalFlow(**config.flow.model_dump(), bounds=_bounds(names, config))
    return _MAKERS[config.detector.name](config, flow, m, window)


def _bounds(names: tuple[str, ...], config: Config) -> Bounds:
    """The magnitude limit is the one hard edge among the features; a flow must know of it."""
    edges: dict[str, Bound] = {}
    if config.cuts.magnitude is not None:
        edges["phot_g_mean_mag"] = AtMost(config.cuts.magnitude[1])
    return Bounds(tuple(edges.get(name, Unbounded()) for name in names), names)


_Maker = Callable[[Config, ConditionalFlow, np.ndarray, Window], Detector]


def _cathode(config: Config, flow: ConditionalFlow, m: np.ndarray, window: Window) -> Cathode:
    return Cathode(
        background=flow, classifier=_trees(config), oversampling=config.detector.oversampling,
        folds=config.detector.folds, see_resonant=True, minimum=config.windows.min_stars,
    )  # fmt: skip


def _anode(config: Config, flow: ConditionalFlow, m: np.ndarray, window: Window) -> Anode:
    # Few stars and a start at the background: small steps, a fixed number of them.
    data = replace(flow, epochs=15, batch_size=512, learning_rate=2e-3)
    return Anode(background=flow, data=data, folds=config.detector.folds, minimum=config.windows.min_stars)


def _r_anode(config: Config, flow: ConditionalFlow, m: np.ndarray, window: Window) -> RAnode:
    return RAnode(background=flow, folds=config.detector.folds, minimum=config.windows.min_stars)


def _lacathode(config: Config, flow: ConditionalFlow, m: np.ndarray, window: Window) -> LaCathode:
    return LaCathode(
        background=flow, classifier=_trees(config), oversampling=config.detector.oversampling,
        folds=config.detector.folds, minimum=config.windows.min_stars,
    )  # fmt: skip


def _cwola(config: Config, flow: ConditionalFlow, m: np.ndarray, window: Window) -> Cwola:
    minimum = config.windows.min_stars
    return Cwola(_trees(config), config.detector.folds, reach=_reach(m, window, minimum), minimum=minimum)


def _transport(config: Config, flow: ConditionalFlow, m: np.ndarray, window: Window) -> FlowTransport:
    return FlowTransport(
        background=flow, classifier=_trees(config), oversampling=config.detector.oversampling,
        folds=config.detector.folds, see_resonant=True, minimum=config.windows.min_stars,
    )  # fmt: skip


def _both(config: Config, flow: ConditionalFlow, m: np.ndarray, window: Window) -> Ensemble:
    return Ensemble((_cathode(config, flow, m, window), _r_anode(config, flow, m, window)))


def _autoencoder(config: Config, flow: ConditionalFlow, m: np.ndarray, window: Window) -> Autoencoder:
    settings = config.detector
    return Autoencoder(members=settings.members, folds=settings.folds, minimum=config.windows.min_stars)


_MAKERS: dict[str, _Maker] = {
    "cathode": _cathode,
    "anode": _anode,
    "r-anode": _r_anode,
    "lacathode": _lacathode,
    "cwola": _cwola,
    "transport": _transport,
    "cathode+r-anode": _both,
    "autoencoder": _autoencoder,
}
DETECTOR_NAMES = tuple(_MAKERS)
"""Every value that `detector.name` may have."""


def _trees(config: Config) -> BoostedTrees:
    return BoostedTrees(members=config.detector.members)


def _reach(m: Float[np.ndarray, " n"], window: Window, minimum: int) -> float | None:
    """How far CWoLa's sidebands reach: it believes that the features do not depend on m, true nearby.

    Together they are as wide as the window, or twice, four times ... as wide, until they hold `minimum`
    stars; None (all stars) at last.
    """
    reach = window.width / 2
    while reach < np.ptp(m):
        if np.sum(window.sidebands(m, reach=reach)) >= minimum:
            return reach
        reach *= 2
    return None
