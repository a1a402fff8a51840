"""Phase-space densities of the same stars, several: their spread is an error, their mean is better."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from density import child_seed
from dm_map.errors import FlowError
from dm_map.flows.density import PhaseSpaceDensity, write_whole
from dm_map.flows.recipe import PhaseSpaceFlow
from dm_map.stars import StarSample
from dm_map.volume import Ball

__all__ = ["FlowEnsemble", "MemberProgress", "fit_ensemble", "sample_fingerprint"]

MemberProgress = Callable[[int, int], None]
"""Called with the numbers of members that are finished and of all; once at the start too."""

_FORMAT = "dm_map flow ensemble 1"
_MANIFEST = "ensemble.json"

# The leading axes of positions and velocities are broadcast.
Positions = Float[np.ndarray, "*#batch 3"]
Vectors = Float[np.ndarray, "... 3"]
Numbers = Float[np.ndarray, "..."]


@dataclass(frozen=True, eq=False)
class FlowEnsemble:
    """Phase-space densities that differ in the seed of their training, or also in the stars they saw.

    As a density it is the mixture f = mean_i f_i: normalised, with samples and scores to match.

    Attributes:
        members: One density or more, on one volume.
        bootstrap: Whether each member was fitted to stars drawn with replacement. The scatter of members that
            saw the same stars is the noise of training alone; that of bootstrap members holds the noise of
            sampling too.

    Raises:
        FlowError: there is no member, or their volumes differ.
    """

    members: tuple[PhaseSpaceDensity, ...]
    bootstrap: bool = False

    def __post_init__(self) -> None:
        if not self.members:
            raise FlowError("an ensemble needs at least one member; got none")
        for place, member in enumerate(self.members):
            if member.volume != self.volume or member.use_within != self.members[0].use_within:
                raise FlowError(
                    f"members share one volume; member {place} has {member.usable}, the first {self.usable}"
                )

    def __len__(self) -> int:
        return len(self.members)

    @property
    def volume(self) -> Ball:
        """The ball of the stars."""
        return self.members[0].volume

    @property
    def usable(self) -> Ball:
        """The ball in which the scores are to be used."""
        return self.members[0].usable

    def log_density(self, x: Positions, v: Positions) -> Numbers:
        """ln of the mean of the members' densities. Args, Raises: as `PhaseSpaceDensity.log_density`."""
        logs = np.stack([member.log_density(x, v) for member in self.members])
        return np.logaddexp.reduce(logs, axis=0) - np.log(len(self))

    def scores(self, x: Positions, v: Positions) -> tuple[Vectors, Vectors]:
        """Gradients of `log_density`: the members' scores, weighted by their densities.

        Args, Raises: as `PhaseSpaceDensity.scores`.
        """
        logs = np.stack([member.log_density(x, v) for member in self.members])
        share = np.exp(logs - np.logaddexp.reduce(logs, axis=0))[..., None]
        s_x, s_v = self.member_scores(x, v)
        return np.sum(share * s_x, axis=0), np.sum(share * s_v, axis=0)

    def member_scores(
        self, x: Positions, v: Positions
    ) -> tuple[Float[np.ndarray, "m ... 3"], Float[np.ndarray, "m ... 3"]]:
        """Scores of each member, shape (m, ..., 3) each. Args, Raises: as `PhaseSpaceDensity.scores`."""
        s_x, s_v = zip(*(member.scores(x, v) for member in self.members), strict=True)
        return np.stack(s_x), np.stack(s_v)

    def sample(self, n: int, seed: int) -> StarSample:
        """n stars, an equal share from each member, in random order.

        Raises:
            FlowError: n is negative.
        """
        x = self.sample_positions(n, child_seed(seed, "positions"))
        v = self.sample_velocities(x, 1, child_seed(seed, "velocities"))[:, 0]
        return StarSample(x, v, self.volume)

    def sample_positions(self, n: int, seed: int, within: Ball | None = None) -> Float[np.ndarray, "n 3"]:
        """n positions from the members in turn. Args, Raises: as `PhaseSpaceDensity.sample_positions`."""
        if n < 0:
            raise FlowError(f"the number of draws cannot be negative; got {n}")
        owner = np.arange(n) % len(self)
        x = np.empty((n, 3))
        for place, member in enumerate(self.members):
            own = owner == place
            x[own] = member.sample_positions(int(own.sum()), child_seed(seed, "member", place), within)
        return np.random.default_rng(np.random.SeedSequence(seed)).permutation(x)

    def sample_velocities(
        self, x: Float[np.ndarray, "n 3"], k: int, seed: int, truncation: float | None = None
    ) -> Float[np.ndarray, "n k 3"]:
        """k velocities at each position, each from a member chosen by its own n(x).

        Args, Raises: as `PhaseSpaceDensity.sample_velocities`.
        """
        draws = np.stack(
            [
                member.sample_velocities(x, k, child_seed(seed, "member", place), truncation)
                for place, member in enumerate(self.members)
            ]
        )
        logs = np.stack([member.position.log_prob(x) for member in self.members])
        share = np.exp(logs - np.logaddexp.reduce(logs, axis=0))
        rng = np.random.default_rng(np.random.SeedSequence(child_seed(seed, "choice")))
        choice = np.sum(rng.random((len(x), k, 1)) > np.cumsum(share, axis=0).T[:, None, :], axis=-1)
        choice = np.minimum(choice, len(self) - 1)
        return np.take_along_axis(draws, choice[None, ..., None], axis=0)[0]


def fit_ensemble(
    sample: StarSample,
    recipe: PhaseSpaceFlow,
    members: int,
    *,
    seed: int,
    bootstrap: bool = False,
    directory: str | Path | None = None,
    workers: int = 1,
    progress: MemberProgress | None = None,
    device: str = "cpu",
) -> FlowEnsemble:
    """Fit the members of an ensemble; member i depends on `seed` and i alone.

    Args:
        sample: The stars.
        recipe: Recipe of each member.
        members: Their number.
        seed: Root of the members' seeds.
        bootstrap: Fit each member to as many stars drawn with replacement.
        directory: Where each member is saved as soon as it is finished, and taken from where it is there
            already: an interrupted fit continues, and members can be added. None: nothing is saved.
        workers: Processes, each with one thread where there are several; the members do not depend on it.
        progress: Called as members are finished.
        device: torch device to train on.

    Raises:
        FlowError: no member asked for, the directory holds an ensemble of other stars, recipe or seed, or a
            fit failed.
    """
    if members < 1 or workers < 1:
        raise FlowError(f"an ensemble needs members >= 1 and workers >= 1; got {members} and {workers}")
    folder = None if directory is None else _claimed(Path(directory), sample, recipe, seed, bootstrap)
    found: dict[int, PhaseSpaceDensity] = {}
    for place in range(members):
        if folder is not None and _member_path(folder, place).exists():
            found[place] = PhaseSpaceDensity.load(_member_path(folder, place))
    missing = [place for place in range(members) if place not in found]

    def finished(place: int, density: PhaseSpaceDensity) -> None:
        found[place] = density
        if folder is not None:
            density.save(_member_path(folder, place))
        if progress is not None:
            progress(len(found), members)

    if progress is not None:
        progress(len(found), members)
    jobs = [(place, (sample, recipe, seed, place, bootstrap, device)) for place in missing]
    if workers == 1 or len(missing) < 2:
        for place, job in jobs:
            finished(place, _fit_member(*job))
    else:
        _fit_side_by_side(jobs, min(workers, len(missing)), finished)
    return FlowEnsemble(tuple(found[place] for place in range(members)), bootstrap)


def sample_fingerprint(sample: StarSample) -> str:
    """A hash of the stars, their weights and their volume; of other stars it is another one."""
    digest = hashlib.sha256(repr((sample.volume, len(sample))).encode())
    for name in ("x", "v", "weights"):
        values = getattr(sample, name)
        digest.update(name.encode() if values is None else np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:32]


def _fit_member(
    sample: StarSample, recipe: PhaseSpaceFlow, seed: int, place: int, bootstrap: bool, device: str
) -> PhaseSpaceDensity:
    own = child_seed(seed, "member", place)
    stars = sample.bootstrap(child_seed(own, "bootstrap")) if bootstrap else sample
    return recipe.fit(stars, seed=own, device=device)


def _fit_side_by_side(
    jobs: list[tuple[int, tuple[object, ...]]],
    workers: int,
    finished: Callable[[int, PhaseSpaceDensity], None],
) -> None:
    # Fresh processes: a fork would copy the threads' locks of torch.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting = {pool.submit(_fit_member, *job): place for place, job in jobs}
        try:
            for future in as_completed(waiting):
                finished(waiting[future], future.result())
        except BrokenProcessPool as error:
            raise FlowError(
                f"a worker process died, often for want of memory; use fewer than {workers} workers. In a "
                "directory, finished members are kept"
            ) from error
        finally:
            # After an error or an interrupt the members not yet begun are not waited for.
            pool.shutdown(wait=False, cancel_futures=True)


def _member_path(folder: Path, place: int) -> Path:
    return folder / f"member_{place:03d}.npz"


def _claimed(folder: Path, sample: StarSample, recipe: PhaseSpaceFlow, seed: int, bootstrap: bool) -> Path:
    """The folder, with a manifest that says whose members it holds."""
    wanted = {
        "format": _FORMAT,
        "stars": sample_fingerprint(sample),
        "recipe": recipe.to_dict(),
        "seed": seed,
        "bootstrap": bootstrap,
    }
    wanted = json.loads(json.dumps(wanted))
    path = folder / _MANIFEST
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(wanted, indent=1) + "\n").encode())
        return folder
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise FlowError(f"{path} is not readable ({error}); remove the folder to start again") from error
    different = [name for name in wanted if not isinstance(found, dict) or found.get(name) != wanted[name]]
    if different:
        raise FlowError(
            f"{folder} holds an ensemble that differs in {', '.join(different)}; name another folder, or "
            "remove this one to start again"
        )
    return folder
