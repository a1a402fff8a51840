"""Members of a real stream, moved to another place: real colours, magnitudes, gaps and errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table
from jaxtyping import Float

from sky_patches import PatchFrame, PatchGeometry
from sky_patches.frames import unit_vectors
from streams.injection.errors import InjectionError
from streams.injection.makers import identified, require_stars, spare
from streams.injection.place import Place
from streams.injection.survey import SurveyStars
from streams.injection.truth import InjectedStream, StreamTruth

__all__ = ["MovedMembers", "great_circle_frame", "read_members"]

_STREAMFINDER = {
    "RAdeg": "ra", "DEdeg": "dec", "plx": "parallax", "pmRA": "pmra", "pmDE": "pmdec",
    "Gmag": "phot_g_mean_mag", "B-R": "bp_rp", "Stream": "stream",
}  # fmt: skip
_NEEDED = ("ra", "dec", "pmra", "pmdec", "stream")
_LEAST = 10


def read_members(path: Path) -> Table:
    """Members of known streams: ra, dec, pmra, pmdec, stream, and parallax, phot_g_mean_mag, bp_rp if there.

    Names of the STREAMFINDER table (Ibata et al. 2024, ApJ 967, 89) and Gaia's are understood.

    Raises:
        InjectionError: the file cannot be read or lacks a column.
    """
    try:
        table = Table.read(path)
    except (OSError, ValueError, TypeError) as error:
        raise InjectionError(f"cannot read the stream members {path}: {error}") from error
    for old, new in _STREAMFINDER.items():
        if old in table.colnames and new not in table.colnames:
            table.rename_column(old, new)
    missing = [name for name in _NEEDED if name not in table.colnames]
    if missing:
        raise InjectionError(f"{path} lacks {missing}; its columns are {table.colnames}")
    optional = [name for name in ("parallax", "phot_g_mean_mag", "bp_rp") if name in table.colnames]
    return Table({name: np.asarray(table[name]) for name in (*_NEEDED, *optional)})


def great_circle_frame(ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> PatchFrame:
    """The offset frame whose phi1 runs along the great circle nearest to the stars, from their middle.

    Its pole is the direction that is the most nearly perpendicular to all of them.

    Args:
        ra, dec: deg, three or more stars.
    """
    vectors = unit_vectors(ra, dec)
    pole = np.linalg.svd(vectors, full_matrices=False)[2][-1]
    middle = vectors.mean(axis=0)
    middle = middle - pole * (middle @ pole)
    lon = float(np.degrees(np.arctan2(middle[1], middle[0])))
    lat = float(np.degrees(np.arctan2(middle[2], np.hypot(*middle[:2]))))
    level = PatchFrame.offset(lon, lat)
    # Where the great circle leaves the middle, in the unrotated frame there.
    ahead = level.matrix @ np.cross(pole, middle)
    return PatchFrame.offset(lon, lat, -float(np.degrees(np.arctan2(ahead[2], ahead[1]))))


@dataclass(frozen=True, eq=False)
class MovedMembers:
    """Members of one real stream, put elsewhere.

    A stretch of the stream is turned from its own great circle onto that of the place, its proper motions
    with it; they are then shifted by a constant so that the stretch has the wanted proper motion in its
    middle. Gradients, width, gaps, colours and errors stay real. The members are another algorithm's list:
    some are field stars, and faint members are missing as they are there.

    Args:
        members: as `read_members` gives them.
        stream: number of the stream.
        modulus_shift: mag by which the stream is moved away (negative: towards us). G grows by it, proper
            motions shrink by 10^(-0.2 shift), and the noise that fainter stars have is added; what is moved
            nearer keeps its noise.
        length: deg of the stream that are taken, around a member drawn at random.
        release: the error model that tells the added noise.

    Raises:
        InjectionError: no such stream, or too few members.
    """

    members: Table
    stream: int
    modulus_shift: float = 0.0
    length: float = 20.0
    release: str = "dr3"

    def __post_init__(self) -> None:
        numbers = np.asarray(self.members["stream"])
        count = int(np.sum(numbers == self.stream))
        if count < _LEAST:
            known, sizes = np.unique(numbers, return_counts=True)
            largest = known[np.argsort(-sizes)][:8].tolist()
            raise InjectionError(
                f"stream {self.stream} has {count} members of the {_LEAST} that are needed; "
                f"the largest streams of the list are {largest}"
            )
        if not (abs(self.modulus_shift) <= 10.0 and 0.5 <= self.length <= 120.0):
            raise InjectionError(
                f"modulus_shift must be within 10 mag and length from 0.5 to 120 deg, got "
                f"{self.modulus_shift} and {self.length}"
            )

    @property
    def available(self) -> int:
        """Members of the stream in the list."""
        return int(np.sum(np.asarray(self.members["stream"]) == self.stream))

    def make(
        self,
        place: Place,
        survey: SurveyStars,
        geometry: PatchGeometry,
        stars: int,
        rng: np.random.Generator,
    ) -> InjectedStream:
        """The stretch at a place, thinned at random (see `StreamMaker.make`).

        Fewer stars than were asked for come where the stretch has fewer inside the patch: the number of the
        result counts.
        """
        require_stars(stars)
        moved = self._moved(self._stretch(rng), place, rng)
        moved = moved[geometry.contains(np.asarray(moved["ra"]), np.asarray(moved["dec"]))]
        if len(moved) < 3:
            raise InjectionError(
                f"stream {self.stream}: the patch {geometry.name!r} shows {len(moved)} of its members there"
            )
        truth = StreamTruth.measured(
            place.frame, moved, distance=float("nan"), label=f"members of stream {self.stream}"
        )
        chosen = rng.permutation(len(moved))[: spare(stars)]
        return identified(survey.dress(moved[chosen], rng), truth, survey, rng)

    def _stretch(self, rng: np.random.Generator) -> Table:
        own = self.members[np.asarray(self.members["stream"]) == self.stream]
        ra, dec = (np.asarray(own[name], dtype=float) for name in ("ra", "dec"))
        phi1, _ = great_circle_frame(ra, dec).project_positions(ra, dec)
        centre = phi1[rng.integers(len(phi1))]
        # The stretch does not reach beyond the ends of the stream where the stream is long enough.
        inner = max(float(phi1.max() - phi1.min()) - self.length, 0.0) / 2
        middle = float(phi1.max() + phi1.min()) / 2
        centre = float(np.clip(centre, middle - inner, middle + inner))
        return own[np.abs(phi1 - centre) <= self.length / 2]

    def _moved(self, stretch: Table, place: Place, rng: np.random.Generator) -> Table:
        ra, dec, pmra, pmdec = (np.asarray(stretch[name], dtype=float) for name in _NEEDED[:4])
        if len(ra) < 3:
            raise InjectionError(f"stream {self.stream} has {len(ra)} members within {self.length} deg")
        home = great_circle_frame(ra, dec)
        ratio = 10.0 ** (-0.2 * self.modulus_shift)
        motion = ratio * np.column_stack(home.project_motions(ra, dec, pmra, pmdec))
        motion += self._added_noise(stretch, rng)
        phi1, phi2 = home.project_positions(ra, dec)
        middle = [np.polynomial.polynomial.polyfit(phi1, component, 1)[0] for component in motion.T]
        motion += np.array(place.motion) - np.array(middle)
        moved = stretch.copy()
        moved["ra"], moved["dec"] = place.frame.unproject(phi1, phi2)
        moved["pmra"], moved["pmdec"] = place.frame.unproject_motions(phi1, phi2, *motion.T)
        if "phot_g_mean_mag" in moved.colnames:
            moved["phot_g_mean_mag"] = np.asarray(moved["phot_g_mean_mag"], dtype=float) + self.modulus_shift
        return moved

    def _added_noise(self, stretch: Table, rng: np.random.Generator) -> Float[np.ndarray, "n 2"]:
        """Noise that a star has more at its new magnitude than its scaled proper motion brings along."""
        noise = rng.normal(size=(len(stretch), 2))
        if self.modulus_shift == 0.0 or "phot_g_mean_mag" not in stretch.colnames:
            return np.zeros_like(noise)
        from sky_patches.mock import GaiaErrors

        model, ratio = GaiaErrors(self.release), 10.0 ** (-0.2 * self.modulus_shift)
        g = np.asarray(stretch["phot_g_mean_mag"], dtype=float)
        before, after = model.astrometric(g), model.astrometric(g + self.modulus_shift)
        missing = [after[name] ** 2 - (ratio * before[name]) ** 2 for name in ("pmra", "pmdec")]
        return noise * np.sqrt(np.maximum(np.column_stack(missing), 0.0))
