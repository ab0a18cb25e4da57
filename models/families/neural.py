"""The same networks as torch modules: for training in a node's work only."""

import itertools

import torch

from models.families.network import NetworkSpec


def build(spec: NetworkSpec) -> torch.nn.Sequential:
    """Give the network with zero parameters, named as `models.families.network.shapes` says."""
    layers: list[torch.nn.Module] = []
    for inner, outer in itertools.pairwise(spec.widths):
        # By way of `meta`, torch's global generator draws nothing that would be thrown away.
        linear = torch.nn.Linear(inner, outer, device="meta").to_empty(device="cpu")
        for parameter in linear.parameters():
            torch.nn.init.zeros_(parameter)
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])
