"""Residents with rows for networks, and their clipped gradients slow and obvious."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.families.chunks import Chunk, pieces
from models.families.network import NetworkSpec, shapes


@dataclass(frozen=True, kw_only=True)
class People:
    """What a node's work hands over: rows of a resident next to each other."""

    inputs: np.ndarray
    outcomes: np.ndarray
    owners: np.ndarray

    @classmethod
    def of(cls, spec: NetworkSpec, counts: list[int] | np.ndarray, *, seed: int = 0) -> "People":
        """Give residents with so many rows each; the outcome depends on the inputs, with a bend."""
        generator = np.random.default_rng(seed)
        owners = np.repeat(np.arange(len(counts)), counts)
        inputs = generator.uniform(-1, 1, size=(owners.size, spec.inputs)).astype(np.float32)
        strength = 6 * np.abs(inputs[:, 0]) + 4 * inputs[:, 1] - 3
        yes = generator.random(owners.size) < 1 / (1 + np.exp(-strength))
        outcomes = (yes + generator.integers(0, spec.classes - 1, owners.size)) % spec.classes
        return cls(inputs=inputs, outcomes=outcomes.astype(np.int64), owners=owners)

    @property
    def residents(self) -> int:
        return int(self.owners.max(initial=-1)) + 1

    def chunks(self, chosen: np.ndarray, *, width: int) -> Iterator[Chunk]:
        wanted = np.zeros(self.residents, dtype=np.bool_)
        wanted[chosen] = True
        rows = np.flatnonzero(wanted[self.owners])
        counts = np.bincount(self.owners)[chosen]
        owners = np.repeat(np.arange(len(chosen)), counts)
        for piece, complete in pieces(owners, width=width):
            yield Chunk(
                inputs=self.inputs[rows[piece]],
                outcomes=self.outcomes[rows[piece]],
                owners=owners[piece] - owners[piece.start],
                shares=1.0 / counts[owners[piece]],
                complete=complete,
            )

    def everyone(self, *, width: int = 1) -> Iterator[Chunk]:
        return self.chunks(np.arange(self.residents), width=width)

    def only(self, *chosen: int) -> Iterator[Chunk]:
        return self.chunks(np.array(chosen, dtype=np.int64), width=1)


def contribution(
    spec: NetworkSpec, parameters: dict[str, np.ndarray], people: People, resident: int
) -> list[float]:
    """Give the mean of a resident's row gradients, flat, number by number."""
    rows = np.flatnonzero(people.owners == resident)
    every = [
        row_gradient(spec, parameters, people.inputs[row], int(people.outcomes[row]))
        for row in rows
    ]
    return [math.fsum(column) / len(rows) for column in zip(*every, strict=True)]


def row_gradient(
    spec: NetworkSpec, parameters: dict[str, np.ndarray], x: np.ndarray, outcome: int
) -> list[float]:
    """Give the gradient of one row's log loss as a text book has it."""
    values, layers = [[float(v) for v in x]], len(shapes(spec)) // 2
    for layer in range(layers):
        weight, bias = (parameters[f"{2 * layer}.{kind}"] for kind in ("weight", "bias"))
        out = [
            math.fsum(float(w) * v for w, v in zip(row, values[-1], strict=True)) + float(b)
            for row, b in zip(weight, bias, strict=True)
        ]
        values.append(out if layer == layers - 1 else [max(0.0, v) for v in out])
    scores = values[-1] if spec.classes > 2 else [0.0, *values[-1]]
    powers = [math.exp(s - max(scores)) for s in scores]
    slope = [p / math.fsum(powers) - (place == outcome) for place, p in enumerate(powers)]
    slope = slope if spec.classes > 2 else slope[1:]
    parts = []
    for layer in reversed(range(layers)):
        parts.append([s * v for s in slope for v in values[layer]] + slope)
        weight = parameters[f"{2 * layer}.weight"]
        slope = [
            math.fsum(s * float(w) for s, w in zip(slope, column, strict=True)) * (v > 0)
            for column, v in zip(weight.T, values[layer], strict=True)
        ]
    return [number for part in reversed(parts) for number in part]


def clipped(vector: list[float], bound: float) -> list[float]:
    norm = math.sqrt(math.fsum(v * v for v in vector))
    return [v * min(1.0, bound / norm) for v in vector] if norm else vector
