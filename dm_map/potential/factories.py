"""Ready dictionaries: what the Galaxy may be made of, on documented grids of shapes."""

from __future__ import annotations

from dm_map.errors import PotentialError
from dm_map.potential.components import GalaComponent, Layer
from dm_map.potential.dictionary import Dictionary
from dm_map.volume import Ball

__all__ = ["bars", "galactic_dictionary", "triaxial_haloes"]

# Scale lengths and heights, kpc. The thin gas and young-star layers need 0.1 kpc, the thick disc 1 kpc.
_DISC_LENGTHS = (1.8, 2.2, 2.6, 3.0, 3.5, 4.5)
_DISC_HEIGHTS = (0.1, 0.15, 0.2, 0.27, 0.36, 0.48, 0.7, 1.0)
_GAS_LENGTHS, _GAS_HEIGHTS = (7.0,), (0.1, 0.2)
_BULGES = (0.1, 0.4, 0.8, 1.5)
_NFW = (3.0, 5.0, 7.0, 9.0, 12.0, 15.0, 18.0, 22.0, 28.0, 36.0, 50.0)
_HERNQUIST = (2.0, 4.0, 8.0, 16.0)
_BURKERT = (5.0, 10.0, 20.0)
_ISOCHRONE = (4.0, 10.0)
# Axis ratios of the potential: the density is flattened about three times as much, and positive in these.
_FLATTENED_NFW = ((9.0, 0.85), (15.0, 0.85), (28.0, 0.85), (15.0, 1.1))
# Flattened and cored: (a, b) of Miyamoto-Nagai spheroids.
_SPHEROIDS = ((2.0, 6.0), (4.0, 4.0), (3.0, 12.0))


def galactic_dictionary(volume: Ball, layers: tuple[str, ...] = ("baryons", "halo")) -> Dictionary:
    """Axisymmetric components of positive density for a volume around the Sun: 54 of baryons, 27 haloes.

    Baryons: exponential discs with scale lengths 1.8 to 4.5 kpc and heights 0.1 to 1.0 kpc, a long thin gas
    disc, Hernquist bulges of 0.1 to 1.5 kpc. Haloes: NFW of 3 to 50 kpc, some flattened and prolate,
    Hernquist, Burkert, isochrone, and flattened cored spheroids.

    Args:
        volume: Where the potential is wanted, kpc.
        layers: Which of "baryons" and "halo".

    Raises:
        PotentialError: a layer is neither.
    """
    makers = {"baryons": _baryons, "halo": _haloes}
    unknown = [layer for layer in layers if layer not in makers]
    if unknown or not layers:
        raise PotentialError(f"the layers of this dictionary are {sorted(makers)}; got {layers}")
    return Dictionary(tuple(component for layer in layers for component in makers[layer]()), volume)


def triaxial_haloes(volume: Ball) -> Dictionary:
    """NFW haloes with three axes and with a tipped equator, as an addition to `galactic_dictionary`.

    Scale radii 10 and 20 kpc; axis ratios of the potential 1 : 0.92 : 0.85 with the long axis at 0, 45, 90
    and 135 degrees from the x axis, and 1 : 1 : 0.85 tipped by 20 degrees towards four directions.
    """
    components = []
    for r_s in (10.0, 20.0):
        for azimuth in (0.0, 45.0, 90.0, 135.0):
            shape = {"r_s": r_s, "b": 0.92, "c": 0.85, "azimuth": azimuth}
            components.append(_component("halo", "nfw", **shape))
        for azimuth in (0.0, 90.0, 180.0, 270.0):
            components.append(_component("halo", "nfw", r_s=r_s, c=0.85, azimuth=azimuth, tilt=20.0))
    return Dictionary(tuple(components), volume)


def bars(volume: Ball) -> Dictionary:
    """Bars of positive density, as an addition to `galactic_dictionary` for a rotating frame.

    Softened needles of Long & Murali (1992) of half lengths 3, 4 and 5 kpc, softened by 0.5 and 1 kpc, whose
    near end lies at positive Galactic longitude, 15, 25, 35 and 45 degrees from the line to the Sun.
    """
    shapes = [
        (a, b, angle) for a in (3.0, 4.0, 5.0) for b in (0.5, 1.0) for angle in (15.0, 25.0, 35.0, 45.0)
    ]
    components = [_component("baryons", "bar", a=a, b=b, c=b, azimuth=-angle) for a, b, angle in shapes]
    return Dictionary(tuple(components), volume)


def _baryons() -> list[GalaComponent]:
    sizes = [(h_r, h_z) for h_r in _DISC_LENGTHS for h_z in _DISC_HEIGHTS]
    sizes += [(h_r, h_z) for h_r in _GAS_LENGTHS for h_z in _GAS_HEIGHTS]
    discs = [_component("baryons", "exponential disc", h_R=h_r, h_z=h_z) for h_r, h_z in sizes]
    return discs + [_component("baryons", "hernquist", c=c) for c in _BULGES]


def _haloes() -> list[GalaComponent]:
    return [
        *(_component("halo", "nfw", r_s=r_s) for r_s in _NFW),
        *(_component("halo", "nfw", r_s=r_s, c=c) for r_s, c in _FLATTENED_NFW),
        *(_component("halo", "hernquist", c=c) for c in _HERNQUIST),
        *(_component("halo", "burkert", r0=r0) for r0 in _BURKERT),
        *(_component("halo", "isochrone", b=b) for b in _ISOCHRONE),
        *(_component("halo", "miyamoto-nagai", a=a, b=b) for a, b in _SPHEROIDS),
    ]


def _component(layer: Layer, kind: str, **parameters: float) -> GalaComponent:
    sizes = " ".join(f"{name}={value:g}" for name, value in parameters.items())
    return GalaComponent(f"{layer}: {kind} {sizes}", layer, kind, tuple(parameters.items()))
