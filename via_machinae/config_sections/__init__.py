"""The sections of a configuration file, each a frozen, validated value."""

from __future__ import annotations

from via_machinae.config_sections.base import Section
from via_machinae.config_sections.finding import (
    CompactConfig,
    LinesConfig,
    MembershipConfig,
    RegionsConfig,
    SignificanceConfig,
)
from via_machinae.config_sections.likelihood import BackgroundConfig, SearchConfig
from via_machinae.config_sections.scores import DetectorConfig, FlowConfig, WindowsConfig
from via_machinae.config_sections.sky import (
    CutsConfig,
    ExcludeConfig,
    MasksConfig,
    PatchConfig,
    RunConfig,
    TilingConfig,
)

__all__ = [
    "BackgroundConfig",
    "CompactConfig",
    "CutsConfig",
    "DetectorConfig",
    "ExcludeConfig",
    "FlowConfig",
    "LinesConfig",
    "MasksConfig",
    "MembershipConfig",
    "PatchConfig",
    "RegionsConfig",
    "RunConfig",
    "SearchConfig",
    "Section",
    "SignificanceConfig",
    "TilingConfig",
    "WindowsConfig",
]
