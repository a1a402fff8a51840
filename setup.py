"""The five packages of the distribution; everything else is declared in pyproject.toml."""

from setuptools import find_packages, setup

PACKAGES = ["via_machinae", "sky_patches", "density", "streams", "dm_map"]

setup(
    # Named one by one, so that tests/, benchmarks/ and notebooks/ can never slip into a wheel.
    packages=find_packages(include=[*PACKAGES, *(f"{name}.*" for name in PACKAGES)]),
    # The dot makes an editable install a plain path entry, which the shape checker's import hook understands.
    package_dir={"": "."},
    package_data={**{name: ["py.typed"] for name in PACKAGES}, "sky_patches.masks": ["data/*.csv"]},
)
