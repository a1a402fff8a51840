"""Rows that no store accepts, kept beside it with the reason."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table

from sky_patches.errors import StoreError
from sky_patches.store.arrow_table import to_arrow

__all__ = ["write_rejected"]


def write_rejected(root: Path, table: Table, origin: str) -> Path | None:
    """Keep rejected rows of `origin` below `root`; see `CatalogStore.keep_rejected`."""
    if len(table) == 0:
        return None
    sink = pa.BufferOutputStream()
    pq.write_table(to_arrow(table).replace_schema_metadata({"origin": origin}), sink, compression="zstd")
    content = sink.getvalue().to_pybytes()
    label = re.sub(r"[^A-Za-z0-9_.-]+", "_", Path(origin).name)[:80] or "rejected"
    target = root / "rejected" / f"{label}-{hashlib.sha256(content).hexdigest()[:12]}.parquet"
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            draft.write_bytes(content)
            os.replace(draft, target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StoreError(
            f"{target} cannot be written ({error}); free space, then repeat the import"
        ) from error
    return target
