"""From noisy sums to a network: Adam, a cosine, the average of the second half. No record is seen.

All of it is post-processing of what was released: the coordinator, a node or an auditor who has
the sums computes the same model. Adam (Kingma, Ba 2015) divides each coordinate by the root of its
mean square, most of which is noise of one known size; so a step has the same length whatever the
clip, and coordinates that stand out of the noise do not run away.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.families import network
from models.families.network import NetworkSpec

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

_MEAN, _SQUARE = 0.9, 0.99
_TINY = 1e-12
"""Keeps a coordinate whose gradient was always 0 where it is."""

MOVING = ("position", "mean", "square", "total")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Adam:
    """A network on its way; all arrays are flat, in the order of `network.shapes`.

    Attributes:
        spec: of the network.
        step: how many steps were taken.
        position: its parameters.
        mean, square: the running means of the gradients and of their squares.
        total: sum of the positions of the second half.
    """

    spec: NetworkSpec
    step: int
    position: Doubles = field(repr=False)
    mean: Doubles = field(repr=False)
    square: Doubles = field(repr=False)
    total: Doubles = field(repr=False)

    @classmethod
    def at(cls, spec: NetworkSpec, parameters: Mapping[str, Floats]) -> "Adam":
        """Give the descent before its first step."""
        position = network.flat(spec, parameters)
        nothing = np.zeros_like(position)
        return cls(
            spec=spec, step=0, position=position, mean=nothing, square=nothing, total=nothing
        )

    def question(self) -> dict[str, Floats]:
        """Give what the next gradient is to be taken at."""
        return network.named(self.spec, self.position)

    def saved(self) -> dict[str, Doubles]:
        """Give all numbers but `step`, from which `restored` makes the same descent."""
        return {name: getattr(self, name) for name in MOVING}

    @classmethod
    def restored(cls, spec: NetworkSpec, *, step: int, numbers: Mapping[str, Doubles]) -> "Adam":
        """Give the descent that `saved` its numbers."""
        return cls(spec=spec, step=step, **{name: numbers[name] for name in MOVING})

    def after(self, gradient: Doubles, *, steps: int, rate: float) -> "Adam":
        """Give the descent one step on.

        Args:
            gradient: the noisy mean of the residents' gradients.
            steps: of the whole descent; the step size falls as a cosine over them.
            rate: the first step size: how far a coordinate moves at most, or nearly so.
        """
        taken = self.step + 1
        mean = _MEAN * self.mean + (1 - _MEAN) * gradient
        square = _SQUARE * self.square + (1 - _SQUARE) * gradient**2
        falling = rate * (1 + math.cos(math.pi * self.step / steps)) / 2
        size = np.sqrt(square / (1 - _SQUARE**taken)) + _TINY
        position = self.position - falling * mean / (1 - _MEAN**taken) / size
        averaged = 2 * taken > steps
        return Adam(
            spec=self.spec,
            step=taken,
            position=position,
            mean=mean,
            square=square,
            total=self.total + position if averaged else self.total,
        )

    def parameters(self, *, steps: int) -> dict[str, Floats]:
        """Give the averaged network, after all `steps`."""
        return network.named(self.spec, self.total / (steps - steps // 2))
