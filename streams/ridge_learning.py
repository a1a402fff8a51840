"""A ridge without a model: learned from members of known streams at known distances."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from streams.ridge_luminosity import luminosity_function
from streams.ridges import (
    FINE_METALLICITIES,
    INTRINSIC_COLOUR_SPREAD,
    Ridge,
    RidgeError,
    gaia_colour_error,
    old_ridges,
)

__all__ = ["learn_ridge"]

_STEP = 0.1
_NARROWEST, _WIDEST = 0.2, 0.6
_FEWEST_NEAR = 10.0
_FEWEST_STARS = 50
_ON_RIDGE = 0.15
_FIRST_GATE = 0.25
_GATE_SIGMAS = 3.0
_ROUNDS = 10


def learn_ridge(
    colour: Float[np.ndarray, " n"],
    magnitude: Float[np.ndarray, " n"],
    modulus: Float[np.ndarray, " n"],
    *,
    limits: tuple[float, float] | Float[np.ndarray, "n 2"],
    colour_error: Float[np.ndarray, " n"] | None = None,
    name: str = "learned",
) -> Ridge:
    """The ridge on which members of known streams lie: colour and stars per magnitude, free in form.

    Colour: at nodes 0.1 mag apart, a straight line through the stars nearby (Gaussian weights of 0.2 mag, up
    to 0.6 mag where there are fewer than ten stars; inverse variances of error and intrinsic spread), fitted
    again and again with Tukey's biweight, which forgets stars three sigma away. The start is whichever of the
    built-in ridges has most stars within 0.15 mag, and stars further than 0.25 mag (and three sigma of their
    error) from it never count: these are the horizontal branch and the blue stragglers. Luminosity function:
    `luminosity_function`, of the stars on the ridge, each seen only within the limits of its own stream.

    The ridge reaches from the first to the last magnitude with ten stars within 0.6 mag (effective number),
    and no node is extrapolated: in a search, streams have no stars beyond the ends. A list that was selected
    with an isochrone gives back something of that isochrone. Moduli must be good to 0.1 mag or so: a wrong
    one moves the whole ridge.

    Args:
        colour: dereddened BP-RP, shape (n,).
        magnitude: dereddened apparent G, shape (n,).
        modulus: distance modulus of each star, that of its stream where it lies, shape (n,).
        limits: brightest and faintest apparent G that the list could hold, one pair for all stars, or shape
            (n, 2), that of each star's own list.
        colour_error: standard errors of BP-RP, mag; None takes Gaia DR3's at each star's magnitude.
        name: of the ridge.

    Raises:
        RidgeError: values that are no numbers, stars outside their limits, or too few stars.
    """
    windows = _windows(magnitude, modulus, limits)
    columns = (colour, magnitude, modulus)
    if not all(np.isfinite(values).all() for values in columns):
        raise RidgeError(
            "colours, magnitudes and moduli must be finite numbers: leave out stars without them"
        )
    error = gaia_colour_error(magnitude, colour) if colour_error is None else colour_error
    if not (np.isfinite(error) & (error >= 0)).all():
        raise RidgeError(
            f"colour errors must be numbers of at least zero, got {np.min(error)} as the smallest"
        )
    absolute, sigma = magnitude - modulus, np.hypot(error, INTRINSIC_COLOUR_SPREAD)
    start = _nearest_of_old(colour, absolute, sigma)
    away = np.abs(colour - start.colour(absolute))
    use = away < _FIRST_GATE + _GATE_SIGMAS * error
    _enough(int(use.sum()), len(colour))
    nodes, line = _colours(colour[use], absolute[use], sigma[use], start)
    on = _on(colour, absolute, sigma, nodes, line) & use
    _enough(int(on.sum()), len(colour))
    return Ridge(name, nodes, line, luminosity_function(absolute[on], windows[on], nodes))


def _enough(found: int, of: int) -> None:
    if found < _FEWEST_STARS:
        raise RidgeError(
            f"a ridge is learned from at least {_FEWEST_STARS} stars near one sequence, got {found} of {of}: "
            "add members of other streams, or check distances and extinction"
        )


def _windows(
    magnitude: Float[np.ndarray, " n"],
    modulus: Float[np.ndarray, " n"],
    limits: tuple[float, float] | Float[np.ndarray, "n 2"],
) -> Float[np.ndarray, "n 2"]:
    """Absolute magnitudes that the list of each star could hold."""
    bounds = np.broadcast_to(np.asarray(limits, dtype=float), (len(magnitude), 2))
    if not (bounds[:, 0] < bounds[:, 1]).all():
        raise RidgeError(f"expected brighter and fainter limits in G, got {limits}")
    outside = (magnitude < bounds[:, 0]) | (magnitude > bounds[:, 1])
    if outside.any():
        raise RidgeError(
            f"{int(outside.sum())} of {len(magnitude)} stars lie outside the limits of their list, such as "
            f"G = {magnitude[outside][0]:.2f} outside {bounds[outside][0]}: cut the stars or widen the limits"
        )
    return bounds - modulus[:, None]


def _nearest_of_old(
    colour: Float[np.ndarray, " n"], absolute: Float[np.ndarray, " n"], sigma: Float[np.ndarray, " n"]
) -> Ridge:
    """The built-in ridge with most stars near it, precise colours first."""
    if not len(colour):
        raise RidgeError("a ridge cannot be learned from no stars at all")

    def near(ridge: Ridge) -> float:
        away = np.abs(colour - ridge.colour(absolute))
        return float(np.sum((away < _ON_RIDGE) / sigma**2))

    return max(old_ridges(FINE_METALLICITIES), key=near)


def _colours(
    colour: Float[np.ndarray, " n"],
    absolute: Float[np.ndarray, " n"],
    sigma: Float[np.ndarray, " n"],
    start: Ridge,
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Nodes and their colours: the longest range without a gap where there are stars enough."""
    grid = np.arange(np.ceil(absolute.min() / _STEP), np.floor(absolute.max() / _STEP) + 1) * _STEP
    widths = np.array([_width(node, absolute) for node in grid])
    runs = np.split(np.arange(len(grid)), np.flatnonzero(np.diff(np.isfinite(widths).astype(int))) + 1)
    kept = max((run for run in runs if np.isfinite(widths[run]).all()), key=len, default=np.array([], int))
    if len(kept) < 2:
        raise RidgeError("the stars lie too thinly in absolute magnitude for a ridge: add members")
    nodes, widths = grid[kept], widths[kept]
    line = start.colour(nodes)
    for _ in range(_ROUNDS):
        residual = colour - np.interp(absolute, nodes, line)
        line = line + np.array(
            [
                _local(node, width, residual, absolute, sigma)
                for node, width in zip(nodes, widths, strict=True)
            ]
        )
    return nodes, line


def _width(node: float, absolute: Float[np.ndarray, " n"]) -> float:
    """Width of the weights at a node: as narrow as has stars enough, NaN where even the widest has not.

    A node at the end of the stars would be extrapolated: it needs stars on both sides.
    """
    away = absolute - node
    for width in np.arange(_NARROWEST, _WIDEST + 0.5 * _STEP, _STEP):
        near = np.exp(-0.5 * (away / width) ** 2)
        if near.sum() >= _FEWEST_NEAR and min(near[away < 0].sum(), near[away >= 0].sum()) > 1.0:
            return float(width)
    return float("nan")


def _local(
    node: float,
    width: float,
    residual: Float[np.ndarray, " n"],
    absolute: Float[np.ndarray, " n"],
    sigma: Float[np.ndarray, " n"],
) -> float:
    """What the colour at a node lacks: weighted line through the residuals near it, at the node."""
    away = absolute - node
    scaled = np.abs(residual) / (_GATE_SIGMAS * sigma)
    weight = np.exp(-0.5 * (away / width) ** 2) / sigma**2 * np.clip(1.0 - scaled**2, 0.0, None) ** 2
    total = weight.sum()
    if total <= 0:
        return 0.0
    middle = np.average(away, weights=weight)
    spread = np.average((away - middle) ** 2, weights=weight)
    mean = np.average(residual, weights=weight)
    slope = np.average((away - middle) * residual, weights=weight) / max(spread, 1e-6)
    return float(mean - slope * middle)


def _on(
    colour: Float[np.ndarray, " n"],
    absolute: Float[np.ndarray, " n"],
    sigma: Float[np.ndarray, " n"],
    nodes: Float[np.ndarray, " k"],
    line: Float[np.ndarray, " k"],
) -> Bool[np.ndarray, " n"]:
    """Stars between the ends of the ridge and within three sigma of it."""
    near = np.abs(colour - np.interp(absolute, nodes, line)) < _GATE_SIGMAS * sigma
    return near & (absolute >= nodes[0]) & (absolute <= nodes[-1])
