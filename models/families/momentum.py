"""From noisy sums to an additive model: preconditioner, momentum, average. No record is seen.

All of it is post-processing of what was released: the coordinator, a node or an auditor who has
the sums computes the same model.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from models.families.additive import Shape

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

_MOMENTUM = 0.9
MOVING = ("position", "velocity", "total")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Start:
    """Where the descent starts: the scale of each level, and the intercepts.

    Attributes:
        shape: of the model.
        scales: P = 1 / √(count / residents), and 1 for the intercept: (levels + 1,).
        intercepts: log-odds of the outcome (two classes) or log-shares: (outputs,).
    """

    shape: Shape
    scales: Doubles = field(repr=False)
    intercepts: Doubles

    @classmethod
    def of(cls, counts: Doubles, *, shape: Shape, residents: float, floor: float) -> "Start":
        """Give the start from the noisy histogram (`additive.histogram`).

        `residents`: a public or noisy number. Counts below `floor` count as that: they are noise
        rather than residents, and 1/√ of them would be large.
        """
        levels, outcomes = counts[: shape.levels], counts[shape.levels :]
        least = min(floor, residents / 2)
        shares = np.clip(outcomes, least, residents - least) / residents
        intercepts = np.log(shares)
        if shape.outputs == 1:
            intercepts -= np.log1p(-shares)
        common = np.clip(levels, least, residents)
        scales = np.append(np.sqrt(residents / common), 1.0)
        return cls(shape=shape, scales=scales, intercepts=intercepts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Iterate:
    """A descent on its way. `position`, `velocity`, `total`: (levels + 1, outputs).

    Attributes:
        start: where it began.
        step: how many steps were taken.
        total: sum of the positions of the second half.
    """

    start: Start
    step: int
    position: Doubles = field(repr=False)
    velocity: Doubles = field(repr=False)
    total: Doubles = field(repr=False)

    @classmethod
    def at(cls, start: Start) -> "Iterate":
        """Give the descent before its first step."""
        position = np.zeros((start.shape.levels + 1, start.shape.outputs))
        position[-1] = start.intercepts
        nothing = np.zeros_like(position)
        return cls(start=start, step=0, position=position, velocity=nothing, total=nothing)

    @property
    def weights(self) -> Doubles:
        """Give the weights of the plain inputs at which the next gradient is to be taken."""
        return self.position * self.start.scales[:, None]

    def question(self) -> dict[str, Doubles]:
        """Give what a gradient is taken at: `weights` and `scales` (`additive.gradient`)."""
        return {"weights": self.weights, "scales": self.start.scales}

    def saved(self) -> dict[str, Doubles]:
        """Give all numbers but `step`, from which `restored` makes the same descent."""
        numbers = {"scales": self.start.scales, "intercepts": self.start.intercepts}
        return numbers | {name: getattr(self, name) for name in MOVING}

    @classmethod
    def restored(cls, shape: Shape, *, step: int, numbers: Mapping[str, Doubles]) -> "Iterate":
        """Give the descent that `saved` its numbers."""
        start = Start(shape=shape, scales=numbers["scales"], intercepts=numbers["intercepts"])
        return cls(start=start, step=step, **{name: numbers[name] for name in MOVING})

    def after(self, gradient: Doubles, *, steps: int, rate: float) -> "Iterate":
        """Give the descent one step on.

        Args:
            gradient: the noisy mean of the residents' gradients, flat.
            steps: of the whole descent; the step size falls as a cosine over them.
            rate: the first step size.
        """
        falling = rate * (1 + math.cos(math.pi * self.step / steps)) / 2
        velocity = _MOMENTUM * self.velocity + gradient.reshape(self.velocity.shape)
        position = self.position - falling * velocity
        averaged = 2 * (self.step + 1) > steps
        return replace(
            self,
            step=self.step + 1,
            position=position,
            velocity=velocity,
            total=self.total + position if averaged else self.total,
        )

    def parameters(self, *, steps: int) -> dict[str, Floats]:
        """Give the averaged model as `models.families.network` names it, after all `steps`."""
        mean = self.total / (steps - steps // 2) * self.start.scales[:, None]
        turned = mean.T.astype(np.float32)
        return {"0.weight": np.ascontiguousarray(turned[:, :-1]), "0.bias": turned[:, -1].copy()}
