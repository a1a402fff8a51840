"""The stars of a run: read from a table, or drawn from a mock galaxy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dm_map.baryons import BaryonModel, baryon_model
from dm_map.input import LuminosityCut, read_stars
from dm_map.local import SUN_POSITION
from dm_map.mocks import Mock, MockBaryons, make_mock
from dm_map.stars import StarSample
from dm_map.volume import Ball
from sky_patches import CatalogStore
from via_machinae.dark_matter.directory import fingerprint
from via_machinae.dark_matter.settings import MapSettings
from via_machinae.radial_velocity import radial_velocity_stars

__all__ = ["baryons_of", "fingerprint_of", "stars_of", "truth_of", "use_ball"]


def fingerprint_of(settings: MapSettings) -> str:
    """What makes the stars the same stars: the content of the table; for a mock its settings say all.

    Raises:
        RunError: there is no such table.
    """
    return "mock" if settings.stars is None else fingerprint(Path(settings.stars))


def truth_of(settings: MapSettings) -> Mock | None:
    """The mock; None for real stars."""
    return None if settings.mock is None else make_mock(settings.mock)


def use_ball(settings: MapSettings) -> Ball:
    """Where results are given."""
    return Ball(SUN_POSITION, settings.use_within)


def baryons_of(settings: MapSettings, name: str | None = None) -> BaryonModel:
    """The baryon model of the settings, or the one of that name."""
    chosen = name or settings.baryon_name
    if chosen == "mock" and settings.mock is not None:
        return MockBaryons.of(make_mock(settings.mock))
    return baryon_model(chosen)


def stars_of(settings: MapSettings) -> tuple[StarSample, dict[str, Any], str]:
    """The stars, a record of what became of the input, and the same in words.

    Raises:
        DmMapError: the table is not usable, or the radius exceeds the mock's volume.
    """
    mock = truth_of(settings)
    if mock is not None:
        drawn = mock.sample(settings.mock_stars, settings.seed)
        sample = drawn.within(drawn.volume.within(settings.radius))
        told = f"mock {settings.mock}: {len(sample):,} stars within {settings.radius:g} kpc of the Sun"
        return sample, {"mock": settings.mock, "kept": len(sample), "notes": []}, told
    cut = None
    if settings.complete_to is not None:
        band, limit = settings.complete_to
        cut = LuminosityCut(faint=limit, band=band)
    path = Path(str(settings.stars))
    source = radial_velocity_stars(CatalogStore.open(path)) if path.is_dir() else path
    sample, report = read_stars(
        source, radius=settings.radius, luminosity=cut, columns=dict(settings.columns)
    )
    return sample, report.to_dict(), str(report)
