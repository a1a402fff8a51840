"""The map from features as measured to coordinates in which a flow is easy: no hard edges, no heavy tails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from density.bounds import Bounds, InBall
from density.column_choice import EDGE, map_of_column
from density.column_maps import Ball, ColumnMap, column_map_from_dict, column_map_to_dict
from density.errors import FeatureError

__all__ = ["Block", "FeatureMap", "check_features", "choose_feature_map"]


@dataclass(frozen=True)
class Block:
    """A column map and the columns it acts on."""

    map: ColumnMap
    columns: tuple[int, ...]


@dataclass(frozen=True)
class FeatureMap:
    """Blocks of column maps, then an affine standardisation of each mapped column.

    Args:
        blocks: Disjoint blocks that cover all columns.
        shift: Mean of each mapped column.
        scale: Standard deviation of each mapped column.
        names: Names of the columns, for messages.

    Raises:
        FeatureError: the blocks do not cover each column exactly once.
    """

    blocks: tuple[Block, ...]
    shift: tuple[float, ...]
    scale: tuple[float, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        columns = sorted(column for block in self.blocks for column in block.columns)
        if columns != list(range(len(self.shift))):
            raise FeatureError(
                f"blocks must cover columns 0 to {len(self.shift) - 1} once each; got {columns}"
            )

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.shift)

    def forward_tensor(self, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
        """y(x) and ln|det dy/dx|, differentiable; NaN for rows outside the domain, without a check."""
        mapped: list[Tensor | None] = [None] * self.width
        log_det = torch.zeros_like(x[:, 0])
        for block in self.blocks:
            y, block_log_det = block.map.forward(x[:, list(block.columns)])
            log_det = log_det + block_log_det
            for k, column in enumerate(block.columns):
                mapped[column] = y[:, k]
        scale = x.new_tensor(self.scale)
        y = (torch.stack(mapped, dim=1) - x.new_tensor(self.shift)) / scale
        return y, log_det - torch.log(scale).sum()

    def inverse_tensor(self, y: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """x(y)."""
        y = y * y.new_tensor(self.scale) + y.new_tensor(self.shift)
        features: list[Tensor | None] = [None] * self.width
        for block in self.blocks:
            x = block.map.inverse(y[:, list(block.columns)])
            for k, column in enumerate(block.columns):
                features[column] = x[:, k]
        return torch.stack(features, dim=1)

    def forward(
        self, x: Float[np.ndarray, "n d"]
    ) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
        """Mapped coordinates and ln|det dy/dx|.

        Args:
            x: Features, shape (n, d).

        Raises:
            FeatureError: a value is not finite or lies outside its bounds; the message names feature and
                value.
        """
        x = check_features(x, self.names)
        with torch.no_grad():
            tensor = torch.from_numpy(x)
            self._check_domain(tensor)
            y, log_det = self.forward_tensor(tensor)
        return y.numpy(), log_det.numpy()

    def inverse(self, y: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Features of mapped coordinates, shape (n, d)."""
        with torch.no_grad():
            return self.inverse_tensor(torch.from_numpy(np.array(y, dtype=np.float64))).numpy()

    def inside(self, x: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """Which rows are finite and lie inside the domain of every block.

        Args:
            x: Features, shape (n, d).
        """
        return self.inside_tensor(torch.from_numpy(np.array(x, dtype=np.float64))).numpy()

    def inside_tensor(self, x: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Which rows are finite and lie inside the domain of every block."""
        inside = torch.isfinite(x).all(dim=1)
        for block in self.blocks:
            inside = inside & block.map.inside(x[:, list(block.columns)])
        return inside

    def _check_domain(self, x: Float[Tensor, "n d"]) -> None:
        for block in self.blocks:
            values = x[:, list(block.columns)]
            inside = block.map.inside(values)
            if bool(inside.all()):
                continue
            row = int(torch.nonzero(~inside)[0, 0])
            names = ", ".join(self.names[column] for column in block.columns)
            raise FeatureError(
                f"{names}: expected values inside {block.map}; {int((~inside).sum())} of {len(inside)} rows"
                f" lie outside, first row {row} with {values[row].tolist()}; cut them or widen the bounds"
            )

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON; `from_dict` makes the same map again, to the last bit."""
        blocks = [{"columns": list(b.columns), "map": column_map_to_dict(b.map)} for b in self.blocks]
        return {
            "blocks": blocks,
            "shift": list(self.shift),
            "scale": list(self.scale),
            "names": list(self.names),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, object]) -> FeatureMap:
        """The map that `to_dict` described."""
        blocks = tuple(Block(column_map_from_dict(b["map"]), tuple(b["columns"])) for b in state["blocks"])
        return cls(blocks, tuple(state["shift"]), tuple(state["scale"]), tuple(state["names"]))


def check_features(x: Float[np.ndarray, "n d"], names: tuple[str, ...]) -> Float[np.ndarray, "n d"]:
    """`x` as a fresh contiguous float64 array with one finite column per name.

    Raises:
        FeatureError: wrong shape, or a value that is not finite; the message names the feature.
    """
    x = np.array(x, dtype=np.float64, order="C")
    if x.ndim != 2 or x.shape[1] != len(names):
        raise FeatureError(
            f"expected an array of shape (n, {len(names)}) with columns {names}; got {x.shape}"
        )
    bad = ~np.isfinite(x)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise FeatureError(
            f"{names[column]}: expected finite values; {int(bad[:, column].sum())} are not, the first in row"
            f" {row} ({x[row, column]}); remove such rows first"
        )
    return x


def choose_feature_map(
    x: Float[np.ndarray, "n d"], bounds: Bounds, weights: Float[np.ndarray, " n"] | None = None
) -> FeatureMap:
    """A map that honours the declared bounds, with its scales taken from the data.

    Unbounded features get an affine map, or asinh where their tails are heavy; irregular ones the map of
    their own quantiles; one-sided bounds an edge map; intervals a logit; coordinates of a ball one joint ball
    map.

    Args:
        x: Features, shape (n, d), at least two distinct values in each column.
        bounds: Declared bounds, one per column.
        weights: Positive weights of the rows; a weight of k counts as k equal rows.

    Raises:
        FeatureError: a column is constant, not finite or outside its bounds; the message names it.
    """
    x = check_features(x, bounds.names)
    if len(x) < 2:
        raise FeatureError(f"expected at least two rows to choose scales from; got {len(x)}")
    blocks = [_ball_block(bounds, columns) for columns in bounds.balls().values()]
    for column, bound in enumerate(bounds.features):
        if x[:, column].min() == x[:, column].max():
            raise FeatureError(f"{bounds.names[column]}: constant at {x[0, column]}; leave this feature out")
        if not isinstance(bound, InBall):
            blocks.append(Block(map_of_column(x[:, column], bound, weights), (column,)))
    unit = FeatureMap(tuple(blocks), (0.0,) * x.shape[1], (1.0,) * x.shape[1], bounds.names)
    y, _ = unit.forward(x)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.average(y, axis=0, weights=weights)
        spread = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weights))
    for column in np.flatnonzero(~(np.isfinite(spread) & (spread > 0))):
        raise FeatureError(
            f"{bounds.names[column]}: its spread after mapping is {spread[column]}, over values from"
            f" {x[:, column].min()} to {x[:, column].max()}; remove what is extreme, or this feature"
        )
    return FeatureMap(unit.blocks, _floats(mean), _floats(spread), bounds.names)


def _ball_block(bounds: Bounds, columns: tuple[int, ...]) -> Block:
    members = [bounds.features[column] for column in columns]
    first = members[0]
    return Block(
        Ball(tuple(float(b.centre) for b in members), first.radius * (1 + EDGE), first.core), columns
    )


def _floats(values: Float[np.ndarray, " d"]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
