"""A linear potential as a text file: JSON, every number exact."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from dm_map.errors import PotentialError
from dm_map.potential.components import Component, GalaComponent
from dm_map.potential.dictionary import Dictionary
from dm_map.potential.free_form import Blob, Harmonic
from dm_map.potential.linear import LinearPotential
from dm_map.volume import Ball

__all__ = ["load_potential", "save_potential"]

_FORMAT = "dm_map linear potential 1"
_KINDS: dict[str, type[GalaComponent] | type[Blob] | type[Harmonic]] = {
    "GalaComponent": GalaComponent,
    "Blob": Blob,
    "Harmonic": Harmonic,
}


def save_potential(
    potential: LinearPotential, path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Write components, coefficients, members and pattern speed; the file appears whole or not at all.

    Raises:
        PotentialError: the file exists and `overwrite` is not set, or a component is of a kind that cannot be
            written.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise PotentialError(f"{path} exists; choose another name or ask to overwrite it")
    members = None if potential.members is None else potential.members.tolist()
    content = {
        "format": _FORMAT,
        "units": {"length": "kpc", "potential": "km2 / s2", "density": "Msun / pc3"},
        "pattern_speed": potential.pattern_speed,
        "volume": _written_volume(potential.dictionary.volume),
        "components": [_written(component) for component in potential.dictionary.components],
        "coefficients": potential.coefficients.tolist(),
        "members": members,
    }
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(content, file, indent=1)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def load_potential(path: str | os.PathLike[str]) -> LinearPotential:
    """Read what `save_potential` wrote.

    Raises:
        PotentialError: the file is not such a potential.
    """
    try:
        content = json.loads(Path(path).read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise PotentialError(f"{path} is not a linear potential: {error}") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise PotentialError(f"{path} is not a linear potential of format {_FORMAT!r}; found {found!r}")
    try:
        dictionary = Dictionary(
            tuple(_read(component) for component in content["components"]), _read_volume(content["volume"])
        )
        members = None if content["members"] is None else np.array(content["members"], dtype=np.float64)
        coefficients = np.array(content["coefficients"], dtype=np.float64)
        return LinearPotential(dictionary, coefficients, members, content["pattern_speed"])
    except (KeyError, TypeError, ValueError) as error:
        raise PotentialError(
            f"{path} is a linear potential with a part missing or broken: {error!r}"
        ) from error


def _written(component: Component) -> dict[str, Any]:
    kind = type(component).__name__
    if _KINDS.get(kind) is not type(component):
        raise PotentialError(f"a {kind} cannot be written; the components that can are {sorted(_KINDS)}")
    return {"type": kind, **asdict(component)}


def _read(written: dict[str, Any]) -> Component:
    fields = dict(written)
    kind = _KINDS[fields.pop("type")]
    if "parameters" in fields:
        fields["parameters"] = tuple((name, value) for name, value in fields["parameters"])
    if "volume" in fields:
        fields["volume"] = _read_volume(fields["volume"])
    if "centre" in fields:
        fields["centre"] = tuple(fields["centre"])
    return kind(**fields)


def _written_volume(volume: Ball | None) -> dict[str, Any] | None:
    return None if volume is None else asdict(volume)


def _read_volume(written: dict[str, Any] | None) -> Ball | None:
    return None if written is None else Ball(tuple(written["centre"]), written["radius"])
