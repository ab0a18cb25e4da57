"""The same networks as torch modules: for training in a node's work only."""

import itertools
from typing import Any

import torch
from opacus.grad_sample import register_grad_sampler
from opacus.grad_sample.linear import compute_linear_grad_sample

from models.families.network import NetworkSpec
from models.families.rows import affine


class _Affine(torch.autograd.Function):
    """`affine` and its gradient by the inputs; Opacus makes those by the parameters, per row."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(weight)
        parts = (part.detach().numpy() for part in (x, weight, bias))
        return torch.from_numpy(affine(*parts))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        nothing = torch.zeros(weight.shape[1], dtype=weight.dtype)
        back = affine(gradients[0].numpy(), weight.detach().numpy().T, nothing.numpy())
        return torch.from_numpy(back), None, None


class RowLinear(torch.nn.Linear):
    """A linear layer whose outputs and gradients for a row do not depend on the other rows.

    It is for an Opacus `GradSampleModule`: the gradient summed over rows is not made.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the outputs."""
        outputs: torch.Tensor = _Affine.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return outputs


register_grad_sampler(RowLinear)(compute_linear_grad_sample)


def build(
    spec: NetworkSpec, *, linear: type[torch.nn.Linear] = torch.nn.Linear
) -> torch.nn.Sequential:
    """Give the network with zero parameters, named as `models.families.network.shapes` says."""
    layers: list[torch.nn.Module] = []
    for inner, outer in itertools.pairwise(spec.widths):
        # By way of `meta`, torch's global generator draws nothing that would be thrown away.
        layer = linear(inner, outer, device="meta").to_empty(device="cpu")
        for parameter in layer.parameters():
            torch.nn.init.zeros_(parameter)
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])
