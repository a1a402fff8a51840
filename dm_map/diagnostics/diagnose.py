"""All checks of a phase-space density, its accelerations and a field in one call."""

from __future__ import annotations

from dm_map.diagnostics.checks import Case
from dm_map.diagnostics.meanings import MEANINGS
from dm_map.diagnostics.phase_space import Field, PhaseSpace
from dm_map.diagnostics.report import DiagnosticReport
from dm_map.diagnostics.settings import DiagnosticSettings
from dm_map.errors import DiagnosticError
from dm_map.stars import StarSample

__all__ = ["diagnose"]


def diagnose(
    density: PhaseSpace,
    held_out: StarSample,
    *,
    stars: StarSample | None = None,
    field: Field | None = None,
    halves: tuple[PhaseSpace, PhaseSpace] | None = None,
    settings: DiagnosticSettings | None = None,
    seed: int,
) -> DiagnosticReport:
    """Can this map be trusted? No truth is needed.

    Three kinds of checks, of equations (1) and (2) of `dm_map.boltzmann`:

    * of the stars: continuity, and the weak form of equation (1) for slow and fast stars. Their sampling law
      is known for any density; they fail with the probability `settings.significance` if all is well.
    * of the density on held-out stars: two-sample test, Stein's identities, smoothness of the scores. They
      fail where the density's error exceeds `settings.accuracy` by more than sampling explains.
    * of the scores: residual of equation (1), continuity, slow against fast velocities, Jeans' equation,
      curl, symmetries, negative density. Their values are relative errors of the acceleration. A trained
      density has noise in all of them; `halves` take it out, for their errors are independent: then a value
      is what both halves have in common. Without halves the value includes the noise.

    What no check sees, because it leaves the stars stationary in some other field: a selection gradient in
    stars of a single temperature sigma (it is a potential -sigma^2 ln S), unless it breaks a symmetry; and a
    displacement of all stars, unless it breaks a symmetry. A uniform motion along a direction in which
    neither density nor velocities vary is invisible too.

    Args:
        density: Phase-space density: trained on other stars than `held_out`, or exact.
        held_out: Stars that took no part in the training, in the volume of the density.
        stars: All stars, for the checks of the stars, which need none held out; None: the held-out ones.
        field: A field (fitted potential) to be judged against stars and scores.
        halves: Two densities, each fitted to one half of the training stars.
        settings: How the checks are made, and the marks to pass.
        seed: Root of all random streams: same seed, same report.

    Returns:
        The report: print it, or take `to_table()` or `to_dict()`.

    Raises:
        DiagnosticError: too few held-out stars, or a field whose answers have a wrong shape.
        AccelerationError: scores that are not finite.
    """
    recipe = DiagnosticSettings() if settings is None else settings
    if len(held_out) < 1000:
        raise DiagnosticError(f"1000 held-out stars are the least for these checks; got {len(held_out)}")
    case = Case(density, held_out, held_out if stars is None else stars, halves, field, recipe, seed)
    made = [
        *case.density_checks(),
        *case.scores_checks(),
        *case.stars_checks(),
        *case.field_checks(),
    ]
    order = list(MEANINGS)
    made.sort(key=lambda check: order.index(check.name))
    return DiagnosticReport(tuple(made), tuple(_skipped({check.name for check in made}, recipe)))


def _skipped(made: set[str], settings: DiagnosticSettings) -> list[tuple[str, str]]:
    reasons = {
        "split halves": "no densities of two halves were given; fit them to see the noise and take it out",
        "field on stars": "no field was given",
        "field on scores": "no field was given",
    }
    for name in ("north-south", "azimuthal"):
        reasons[name] = (
            "too few positions have their mirror place in the volume"
            if name in settings.symmetries
            else "this symmetry is not asked for"
        )
    return [(name, reasons[name]) for name in MEANINGS if name not in made]
