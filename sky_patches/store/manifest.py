"""What a catalogue store contains, as one JSON file: partitions, columns, provenance."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from sky_patches.errors import StoreError
from sky_patches.schema import SCHEMA
from sky_patches.store.arrow_table import arrow_field
from sky_patches.store.hats_layout import HEALPIX_COLUMN, Partition

__all__ = ["FORMAT_VERSION", "Manifest", "StoredColumn", "merge_columns"]

FORMAT_VERSION = 2
"""Version of the store's own files; raised when an older reader could no longer understand them.

1: the first. 2: a checksum for each partition; a store of version 1 gets them when it is next written to.
"""


@dataclass(frozen=True)
class StoredColumn:
    """Name, Arrow type, unit and description of a column of the store."""

    name: str
    type: str
    unit: str | None
    description: str | None

    @classmethod
    def of(cls, field: pa.Field) -> StoredColumn:
        """The column that an Arrow field describes.

        Raises:
            StoreError: a type that a store does not hold.
        """
        metadata = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        try:
            known = pa.type_for_alias(str(field.type)) == field.type
        except ValueError:
            known = False
        if not known:
            raise StoreError(
                f"column {field.name!r} has type {field.type}, which a store does not hold; drop it"
            )
        return cls(field.name, str(field.type), metadata.get("unit"), metadata.get("description"))

    def field(self) -> pa.Field:
        """The Arrow field of the column, with its metadata."""
        kind = pa.type_for_alias(self.type)
        return arrow_field(self.name, kind, unit=self.unit, description=self.description)


@dataclass(frozen=True)
class Manifest:
    """The content of a store at one moment.

    Attributes:
        name: name of the catalogue.
        max_rows: a pixel with more stars is split into its four children.
        generation: number of changes since the store was made.
        columns: in the order in which tables carry them.
        partitions: sorted by position on the HEALPix curve; their pixels do not overlap.
        provenance: one record per append.
    """

    name: str
    max_rows: int
    generation: int = 0
    columns: tuple[StoredColumn, ...] = ()
    partitions: tuple[Partition, ...] = ()
    provenance: tuple[dict[str, Any], ...] = ()

    @property
    def rows(self) -> int:
        """Number of stars."""
        return sum(part.rows for part in self.partitions)

    @property
    def arrow_schema(self) -> pa.Schema:
        """Schema of every partition: the spatial index, then the columns."""
        index = pa.field(HEALPIX_COLUMN, pa.int64(), metadata={"description": "HEALPix order 29, NESTED"})
        return pa.schema([index, *(column.field() for column in self.columns)])

    def with_partitions(self, partitions: Iterable[Partition]) -> Manifest:
        """The next generation, with these partitions."""
        ordered = tuple(sorted(partitions, key=lambda part: part.span))
        return replace(self, partitions=ordered, generation=self.generation + 1)

    def to_json(self) -> str:
        """The manifest as JSON text."""
        return json.dumps({"format_version": FORMAT_VERSION, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str, where: str) -> Manifest:
        """Read what `to_json` wrote.

        Raises:
            StoreError: no such JSON, or a newer format.
        """
        try:
            content = json.loads(text)
            version = content.pop("format_version")
            if version > FORMAT_VERSION:
                raise StoreError(
                    f"{where} has store format {version}, this version reads up to {FORMAT_VERSION}; "
                    "upgrade via-machinae"
                )
            content["columns"] = tuple(StoredColumn(**entry) for entry in content["columns"])
            content["partitions"] = tuple(Partition(**entry) for entry in content["partitions"])
            content["provenance"] = tuple(content["provenance"])
            return cls(**content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{where} is damaged ({error!r}); restore it from a copy, or import again"
            ) from error


def merge_columns(stored: tuple[StoredColumn, ...], new: Iterable[StoredColumn]) -> tuple[StoredColumn, ...]:
    """Columns of the store after a table with columns `new` joins: the schema's first, then the others.

    Raises:
        StoreError: a column that changes its type or unit.
    """
    merged = {column.name: column for column in stored}
    for column in new:
        known = merged.setdefault(column.name, column)
        if (known.type, known.unit) != (column.type, column.unit):
            raise StoreError(
                f"column {column.name!r} is {known.type} [{known.unit}] in the store and {column.type} "
                f"[{column.unit}] in the new table; convert it before it is appended"
            )
    return tuple(sorted(merged.values(), key=lambda column: _rank(column.name)))


def _rank(name: str) -> int:
    # sorted is stable: columns beyond the schema stay in the order of their first appearance.
    return list(SCHEMA).index(name) if name in SCHEMA else len(SCHEMA)
