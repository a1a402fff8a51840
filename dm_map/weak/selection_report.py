"""What the stars say of an unknown selection: which of its terms they determine, and which they cannot.

A gradient g of ln S acts like a force sigma^2 g (see `dm_map.weak.selection_terms`). A term is determined
well enough if its error, taken as a force, is a small share of the acceleration itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dm_map.errors import WeakFormError
from dm_map.potential import Dictionary, Harmonic
from dm_map.volume import Ball
from dm_map.weak.result import WeakFit

__all__ = ["SelectionReport", "SelectionTerm", "selection_report", "uniform_forces"]

# Positions over which the acceleration is averaged.
_POSITIONS, _SEED = 500, 0


@dataclass(frozen=True)
class SelectionTerm:
    """One term of ln S.

    Attributes:
        name: x, y, z, xx, ...
        value: Coefficient, 1/kpc or 1/kpc^2.
        error: Its standard deviation over the draws.
        force: sigma^2 times the gradient that the error allows, over the rms acceleration of the volume: the
            relative error of the acceleration that the term can hide.
        determined: Whether `force` is below the tolerance.
    """

    name: str
    value: float
    error: float
    force: float
    determined: bool

    @property
    def significance(self) -> float:
        """Value over error."""
        return self.value / self.error if self.error > 0 else 0.0


@dataclass(frozen=True)
class SelectionReport:
    """All terms and a sentence.

    Attributes:
        terms: In the order of the fit.
        tolerance: Largest share of the acceleration that a term may hide.
        sentence: What to conclude, for people.
    """

    terms: tuple[SelectionTerm, ...]
    tolerance: float
    sentence: str

    @property
    def identifiable(self) -> bool:
        """Whether the stars determine every term."""
        return all(term.determined for term in self.terms)

    def rows(self) -> list[dict[str, float | str]]:
        """A table: one mapping per term."""
        return [
            {
                "term": term.name,
                "value": term.value,
                "error": term.error,
                "significance": term.significance,
                "hidden force / |a|": term.force,
                "determined": "yes" if term.determined else "no",
            }
            for term in self.terms
        ]


def selection_report(fit: WeakFit, tolerance: float = 0.05) -> SelectionReport:
    """Whether the fitted selection is known well enough to trust the acceleration.

    A dictionary of axisymmetric components symmetric about the plane
    knows that no force pulls along y, or along z in the plane,
    and so tells a selection from a force where the stars alone cannot. Add `uniform_forces` to
    the dictionary (with a wide `WeakForm.local_share`) to hear what the stars alone say.

    Args:
        fit: A fit with `selection_degree` 1 or 2 and with draws.
        tolerance: Share of the rms acceleration that the error of a term may hide.

    Raises:
        WeakFormError: no selection was fitted, fewer than ten draws, or a tolerance that is not positive.
    """
    selection = fit.equations.selection
    if selection is None:
        raise WeakFormError("no selection was fitted; use WeakForm(selection_degree=1)")
    if len(fit.draws) < 10:
        raise WeakFormError(f"the errors of a selection need 10 draws or more; the fit has {len(fit.draws)}")
    if not tolerance > 0:
        raise WeakFormError(f"the tolerance is a positive share of the acceleration; got {tolerance}")
    volume = fit.equations.functions.space.volume
    a = fit.potential.acceleration(volume.uniform(_POSITIONS, _SEED))
    strength = float(np.sqrt(np.mean(np.sum(a**2, axis=1))))
    # Across the axes of the velocities the dispersions mix; their mean square serves all directions.
    variance = float(np.mean(np.square(fit.equations.functions.velocity.dispersion)))
    terms = []
    for name, value, error in zip(selection.names, fit.log_selection, fit.log_selection_error, strict=True):
        # A quadratic term has its largest gradient at the edge; twice that of a product for a square.
        reach = volume.radius ** (len(name) - 1) * (2.0 if len(set(name)) < len(name) else 1.0)
        force = variance * float(error) * reach / strength
        terms.append(SelectionTerm(name, float(value), float(error), force, bool(force <= tolerance)))
    return SelectionReport(tuple(terms), tolerance, _sentence(terms, tolerance))


def uniform_forces(volume: Ball) -> Dictionary:
    """A uniform force along each axis, of either sign; a coefficient is the force in (km/s)^2/kpc."""
    axes = (("z", 0, "cosine"), ("x", 1, "cosine"), ("y", 1, "sine"))
    parts = [Harmonic(f"local: uniform {axis}", volume, 1, order, part) for axis, order, part in axes]
    return Dictionary(tuple(parts), volume)


def _sentence(terms: list[SelectionTerm], tolerance: float) -> str:
    unknown = [term for term in terms if not term.determined]
    if unknown:
        worst = max(unknown, key=lambda term: term.force)
        names = ", ".join(term.name for term in unknown)
        return (
            f"The stars do not determine the selection along {names}: within its error the term {worst.name} "
            f"could hide {worst.force:.0%} of the acceleration (at most {tolerance:.0%} is asked for), as it "
            "does where all stars have one velocity dispersion. Use a selection function that is known, "
            "weights 1/S, or populations of different dispersions."
        )
    seen = [term for term in terms if abs(term.significance) > 3.0]
    if seen:
        listed = ", ".join(f"{term.name} {term.value:+.3f} +- {term.error:.3f}" for term in seen)
        return f"The stars determine the selection, and it is not uniform: {listed} (per kpc to the degree)."
    return (
        f"The stars determine the selection to {max(term.force for term in terms):.1%} of the acceleration, "
        "and show none."
    )
