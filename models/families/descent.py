"""Noisy gradient descent in torch, with Opacus, in which the resident is the unit.

Opacus gives one gradient per row; its own optimizer clips each of them, which protects a row:
a resident with 50 rows then moves the sum 50 times as far. Here the mean of a resident's row
gradients is one contribution, and that is what is clipped.

Formal guarantee: the sum of one step is a `models.privacy.mechanisms.BoundedSum` with one
contribution per resident, so one `step` costs one event of it. A contribution is a function of
that resident's rows and of the parameters, to the last bit (`models.families.rows`): whoever
else is in the sample does not change it. What follows the sum (the division by a public number,
the proximal term, the step itself) sees records no more. Neither torch's nor Opacus' generators
are drawn from.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch._dynamo  # the first step would import it: more than a second, once
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer

from models.families.chunks import Carry, Chunk
from models.families.network import NetworkSpec
from models.families.neural import RowLinear, build
from models.families.rows import slopes
from models.privacy.mechanisms import BoundedSum
from models.quantities import ClipNorm, NoiseMultiplier
from models.randomness import Entropy

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to descend; `noise` None is for public data: no clipping, no noise.

    `proximal` is FedProx's μ: each step is also drawn towards the parameters it started from.
    """

    bound: ClipNorm
    noise: NoiseMultiplier | None
    learning_rate: float
    proximal: float = 0.0


class ResidentOptimizer(DPOptimizer):  # type: ignore[misc]  # Opacus has no types
    """Opacus' optimizer, clipping and noising sums over residents in place of rows.

    For each chunk of a step's sample: backward from the slopes of row losses times `shares`, then
    `take`. Then `step`, which also goes for a sample without rows: its gradient is noise only.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, *, settings: Settings, entropy: Entropy
    ) -> None:
        """Wrap an optimizer of the parameters of an Opacus `GradSampleModule`."""
        super().__init__(
            optimizer,
            noise_multiplier=0.0,  # neither Opacus' noise nor its clipping is used
            max_grad_norm=settings.bound.value,
            expected_batch_size=None,
            loss_reduction="sum",
        )
        self._settings = settings
        self._entropy = entropy
        self.divisor = 1.0
        self._begin()

    def take(self, chunk: Chunk) -> None:
        """Clip and add up the residents whose row gradients the backward pass has left."""
        self._chunk = chunk
        self.clip_and_accumulate()
        self.zero_grad(set_to_none=True)

    def clip_and_accumulate(self) -> None:
        """Sum the row gradients of each resident of the chunk; clip and add what is whole."""
        chunk = self._chunk
        rows = torch.cat([g.reshape(len(g), -1) for g in self.grad_samples], dim=1)
        if chunk.residents < len(rows):
            sums = torch.zeros(chunk.residents, rows.shape[1], dtype=torch.float64)
            rows = sums.index_add_(0, torch.from_numpy(chunk.owners), rows.double())
        self._sum.add(self._carry.whole(rows.numpy(), complete=chunk.complete))

    def add_noise(self) -> None:
        """Release the sum, with noise from the entropy handed in, into the gradients."""
        total = torch.from_numpy(self._sum.release(self._entropy))
        sizes = [parameter.numel() for parameter in self.params]
        for parameter, part in zip(self.params, torch.split(total, sizes), strict=True):
            parameter.grad = part.to(parameter.dtype).view_as(parameter)
        self._begin()

    def scale_grad(self) -> None:
        """Divide by the public number that stands for the size of the sample."""
        for parameter in self.params:
            parameter.grad /= self.divisor

    def pre_step(self, closure: Callable[[], float] | None = None) -> bool:
        """Make the gradient out of what was taken."""
        del closure
        self.add_noise()
        self.scale_grad()
        if self.step_hook:
            self.step_hook(self)
        return True

    def _begin(self) -> None:
        width = sum(parameter.numel() for parameter in self.params)
        self._sum = BoundedSum(width=width, bound=self._settings.bound, noise=self._settings.noise)
        self._carry = Carry()


class Descent:
    """A network on its way from given parameters, one step after the other."""

    def __init__(
        self,
        spec: NetworkSpec,
        parameters: Mapping[str, Floats],
        *,
        settings: Settings,
        entropy: Entropy,
    ) -> None:
        """Start at `parameters` (checked by `models.families.network.check`)."""
        self._module = build(spec, linear=RowLinear)
        start = {name: torch.tensor(array) for name, array in parameters.items()}
        self._module.load_state_dict(start)
        self._rows = GradSampleModule(self._module, batch_first=True, loss_reduction="sum")
        sgd = torch.optim.SGD(self._module.parameters(), lr=settings.learning_rate)
        self._optimizer = ResidentOptimizer(sgd, settings=settings, entropy=entropy)
        if settings.proximal:
            self._optimizer.attach_step_hook(self._draw_back(settings.proximal))

    def step(self, chunks: Iterable[Chunk], *, divisor: float) -> None:
        """Take one step along the sum over the residents in `chunks`, divided by `divisor`."""
        for chunk in chunks:
            # torch warns when hooks run backwards through inputs that need no gradient.
            inputs = torch.from_numpy(chunk.inputs).requires_grad_()
            outputs = self._rows(inputs)
            found = slopes(outputs.detach().numpy().astype(np.float64), chunk.outcomes)
            shared = (found * chunk.shares[:, None]).astype(np.float32)
            outputs.backward(torch.from_numpy(shared))
            self._optimizer.take(chunk)
        self._optimizer.divisor = divisor
        self._optimizer.step()

    def parameters(self) -> dict[str, Floats]:
        """Give the parameters as they stand, by name."""
        state = self._module.state_dict()
        return {name: tensor.numpy().copy() for name, tensor in state.items()}

    def _draw_back(self, strength: float) -> Callable[[DPOptimizer], None]:
        start = [parameter.detach().clone() for parameter in self._module.parameters()]

        def hook(optimizer: DPOptimizer) -> None:
            for parameter, origin in zip(optimizer.params, start, strict=True):
                parameter.grad += strength * (parameter.detach() - origin)

        return hook
