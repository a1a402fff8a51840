"""False-discovery rate of a catalogue: the share of its candidates that chance would have made."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from streams.errors import CatalogError

__all__ = ["false_discovery_rates"]


def false_discovery_rates(
    false_alarm_probability: Float[np.ndarray, " n"], patches: int
) -> Float[np.ndarray, " n"]:
    """False-discovery rate of the catalogue that ends with each candidate.

    A false-alarm probability p speaks of the best line of one stream-free patch. Lines above a high
    threshold come independently, so that their number in a patch is Poisson with mean -ln(1 - p) and a
    scan of `patches` patches expects  -patches ln(1 - p)  false candidates at least as good. Divided by
    the number of candidates found to be as good, this is the false-discovery rate of the list down to
    there (Benjamini & Hochberg 1995, JRSS B 57, 289; Storey 2002, JRSS B 64, 479, with no share of the
    patches taken to hold a stream, which is on the safe side). It never falls down the list.

    Args:
        false_alarm_probability: of each candidate, in any order.
        patches: number of patches searched, those without a candidate included.

    Returns:
        The rate, in the order of the input, between 0 and 1. A rate of 0.01 means: of the candidates
        as good as this one or better, 1 % are expected to be false.

    Raises:
        CatalogError: a probability outside [0, 1], or no patch.
    """
    probability = np.asarray(false_alarm_probability, dtype=float)
    if patches < 1:
        raise CatalogError(f"a catalogue comes from at least one patch, got {patches}")
    if not np.all((probability >= 0) & (probability <= 1)):
        wrong = probability[~((probability >= 0) & (probability <= 1))][0]
        raise CatalogError(f"a false-alarm probability lies in [0, 1], got {wrong}")
    order = np.argsort(probability, kind="stable")
    with np.errstate(divide="ignore"):
        expected = -patches * np.log1p(-probability[order])
    # Equal probabilities make one list: its length is the position of the last of them.
    length = np.searchsorted(probability[order], probability[order], side="right")
    rate = np.minimum.accumulate((expected / np.maximum(length, 1))[::-1])[::-1]
    rates = np.empty_like(rate)
    rates[order] = np.minimum(rate, 1.0)
    return rates
