"""Training speed of the flow backend beside zuko's MAF of the same size, and beside normflows as shipped.

Eight layers, two hidden layers of 64 units, five features, one context, SiLU, fused Adam with clipped
gradients, for ours and zuko with the same number of parameters. Repeats are interleaved, so that other load
on the machine hits all alike; the figure is the median over the repeats. normflows as shipped (residual
blocks, ReLU) runs its log_prob in one pass per feature.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import normflows
import reporting
import torch
import zuko
from torch import Tensor, nn

from density.backend import ConditionalMaf

__all__ = ["main"]

LAYERS, HIDDEN, FEATURES, CONTEXT = 8, 64, 5, 1


class Contestant:
    """A model, its loss and its optimiser."""

    def __init__(self, model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.model, self.loss = model, loss
        self.parameters = list(model.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, 1e-3, fused=True)

    def kstars_per_second(self, x: Tensor, context: Tensor, steps: int) -> float:
        """Thousand stars trained per second, after two steps to warm up."""
        for step in range(steps + 2):
            if step == 2:
                start = time.perf_counter()
            self.optimizer.zero_grad(set_to_none=True)
            self.loss(x, context).backward()
            if isinstance(self.model, ConditionalMaf):
                self.model.mask_gradients_()
            torch.nn.utils.clip_grad_norm_(self.parameters, 5.0)
            self.optimizer.step()
        return len(x) * steps / (time.perf_counter() - start) / 1e3


def ours(seed: int) -> Contestant:
    """The backend of `density`."""
    model = ConditionalMaf(FEATURES, CONTEXT, layers=LAYERS, hidden=HIDDEN, blocks=1, seed=seed)
    return Contestant(model, lambda x, context: -model.log_prob(x, context).mean())


def zukos() -> Contestant:
    """zuko's MAF of the same size."""
    model = zuko.flows.MAF(
        FEATURES, CONTEXT, transforms=LAYERS, hidden_features=(HIDDEN, HIDDEN), activation=nn.SiLU
    )
    return Contestant(model, lambda x, context: -model(context).log_prob(x).mean())


def shipped() -> Contestant:
    """normflows' own conditional flow, oriented for sampling."""
    layers = [
        normflows.flows.MaskedAffineAutoregressive(FEATURES, HIDDEN, context_features=CONTEXT, num_blocks=1)
        for _ in range(LAYERS)
    ]
    model = normflows.ConditionalNormalizingFlow(normflows.distributions.DiagGaussian(FEATURES), layers)
    return Contestant(model, lambda x, context: -model.log_prob(x, context).mean())


def measure(batch: int, repeats: int, stars: int, seed: int) -> dict[str, reporting.Cell]:
    """Median speeds for one batch size."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn((batch, FEATURES), generator=generator)
    context = torch.randn((batch, CONTEXT), generator=generator)
    contestants = {"ours": ours(seed), "zuko": zukos(), "shipped": shipped()}
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, contestant in contestants.items():
            # The shipped orientation is several times slower and needs no precision.
            steps = max(2, stars // batch // (8 if name == "shipped" else 1))
            speeds[name].append(contestant.kstars_per_second(x, context, steps))
    medians = {f"{name}_kstars_s": statistics.median(values) for name, values in speeds.items()}
    ratios = [a / b for a, b in zip(speeds["ours"], speeds["zuko"], strict=True)]
    sizes = {f"{name}_parameters": sum(p.numel() for p in c.parameters) for name, c in contestants.items()}
    return {"batch": batch, **medians, "ratio": statistics.median(ratios), **sizes}


def main() -> None:
    """Run and report; the flat figures are those of the first batch size."""

    def extend(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--threads", type=int, default=2, help="torch threads (default 2)")

    options = reporting.arguments(__doc__.splitlines()[0], extend)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    repeats, stars = (3, 20_000) if options.quick else (9, 60_000)
    rows = [measure(batch, repeats, stars, options.seed) for batch in (1024, 4096)]
    keys = ("ours_kstars_s", "zuko_kstars_s", "shipped_kstars_s", "ratio")
    figures = {key: rows[0][key] for key in keys} | {f"{key}_4096": rows[1][key] for key in keys}
    figures["threads"] = options.threads
    reporting.report(
        "flow_speed", options, rows=rows, figures=figures, device=f"cpu, {options.threads} threads"
    )


if __name__ == "__main__":
    main()
