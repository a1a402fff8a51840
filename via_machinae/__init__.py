"""The conductor: configuration, runs, the scan, the catalogue, figures and the command line.

run = plan_run(store, Path("run"), Config())
score_run(run, workers=2)
catalog = make_catalog(run, run.config)
"""

from __future__ import annotations

from via_machinae.cataloguing import make_catalog
from via_machinae.config import Config, load_config
from via_machinae.errors import ConfigError, RunError, ViaMachinaeError
from via_machinae.run import Run, Unit
from via_machinae.scan import plan_run, score_run
from via_machinae.truth import Comparison, compare
from via_machinae.version import __version__

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
    "load_config",
    "make_catalog",
    "plan_run",
    "score_run",
]
