"""The conductor: configuration, runs, the scan, the catalogue, figures and the command line.

run = plan_run(store, Path("run"), Config())
score_run(run, workers=2)
catalog = make_catalog(run, run.config)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from via_machinae.version import __version__

if TYPE_CHECKING:
    from via_machinae.cataloguing import explain_candidate, make_catalog
    from via_machinae.config import Config, load_config
    from via_machinae.errors import ConfigError, RunError, ViaMachinaeError
    from via_machinae.run import Run, Unit
    from via_machinae.scan import plan_run, score_run
    from via_machinae.truth import Comparison, compare

__all__ = [
    "Comparison",
    "Config",
    "ConfigError",
    "Run",
    "RunError",
    "Unit",
    "ViaMachinaeError",
    "__version__",
    "compare",
    "explain_candidate",
    "load_config",
    "make_catalog",
    "plan_run",
    "score_run",
]

# Loaded at first use: `via-machinae --help` should not wait for torch.
_HOMES = {
    "Comparison": "via_machinae.truth",
    "Config": "via_machinae.config",
    "ConfigError": "via_machinae.errors",
    "Run": "via_machinae.run",
    "RunError": "via_machinae.errors",
    "Unit": "via_machinae.run",
    "ViaMachinaeError": "via_machinae.errors",
    "compare": "via_machinae.truth",
    "explain_candidate": "via_machinae.cataloguing",
    "load_config": "via_machinae.config",
    "make_catalog": "via_machinae.cataloguing",
    "plan_run": "via_machinae.scan",
    "score_run": "via_machinae.scan",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'via_machinae' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
