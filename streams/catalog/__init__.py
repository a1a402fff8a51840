"""The catalogue: what it says of each candidate, its files, and its export."""

from __future__ import annotations

from streams.catalog.assembly import ranked
from streams.catalog.catalogue import StreamCatalog
from streams.catalog.described import flags_of, population_of, track_of_description, with_modulus
from streams.catalog.entries import CatalogEntry, EntryEvidence, EntryPopulation, EntryTrack
from streams.catalog.galstreams_tracks import export_galstreams
from streams.catalog.rows import LEAST_PROBABILITY, candidate_rows
from streams.catalog.schema import (
    CANDIDATE_COLUMNS,
    CATALOG_SCHEMA,
    HYPOTHESIS_COLUMNS,
    LIKELIHOOD_STREAM_COLUMNS,
    MEMBER_LIST_COLUMNS,
    PATCH_MEMBER_COLUMNS,
    PATCH_STREAM_COLUMNS,
    ColumnSpec,
)

__all__ = [
    "CANDIDATE_COLUMNS",
    "CATALOG_SCHEMA",
    "HYPOTHESIS_COLUMNS",
    "LIKELIHOOD_STREAM_COLUMNS",
    "LEAST_PROBABILITY",
    "MEMBER_LIST_COLUMNS",
    "PATCH_MEMBER_COLUMNS",
    "PATCH_STREAM_COLUMNS",
    "CatalogEntry",
    "ColumnSpec",
    "EntryEvidence",
    "EntryPopulation",
    "EntryTrack",
    "StreamCatalog",
    "candidate_rows",
    "export_galstreams",
    "flags_of",
    "population_of",
    "ranked",
    "track_of_description",
    "with_modulus",
]
