"""Flower's strategies as they are, and their state between rounds.

The strategies are driven from our own rounds (configure, exchange, aggregate) and not by
their `start`, which cannot begin at round k nor wait for a minimum cohort.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from flwr.serverapp.strategy import FedAdam, FedAvg, FedProx

from models.errors import ProtocolViolationError
from models.governance.study import Study

State = dict[str, npt.NDArray[np.generic]]

_MOMENTS = ("m_t", "v_t")


def strategy_of(study: Study) -> FedAvg:
    """Give the strategy that the study names, over every department that is asked.

    Its defaults are ours: all nodes of the grid take part, at least 2 (no study asks for
    fewer), and the records are called as in `coordinator.flower.replies`.
    """
    training = study.averaging
    match training.strategy:
        case "fedprox":
            return FedProx(proximal_mu=training.proximal)
        case "fedadam":
            return FedAdam(eta=training.server_learning_rate, eta_l=training.learning_rate)
        case "fedavg":
            return FedAvg()


def begin(strategy: FedAvg, parameters: State) -> None:
    """Tell a strategy, which has asked nobody itself, what the round began with."""
    if isinstance(strategy, FedAdam):
        strategy.current_arrays = dict(parameters)


def state_of(strategy: FedAvg) -> State:
    """Give what the strategy carries from round to round: Adam's moments, or nothing."""
    if not isinstance(strategy, FedAdam):
        return {}
    return {
        f"{moment}/{name}": array
        for moment in _MOMENTS
        for name, array in (getattr(strategy, moment) or {}).items()
    }


def restore(strategy: FedAvg, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Put a strategy where `state_of` found it.

    Raises:
        ProtocolViolationError: the state is another strategy's.
    """
    moments: dict[str, State] = {}
    for key, array in state.items():
        moment, _, name = key.partition("/")
        moments.setdefault(moment, {})[name] = array
    allowed = set(_MOMENTS) if isinstance(strategy, FedAdam) else set()
    if not set(moments) <= allowed or len(moments) == 1:
        raise ProtocolViolationError("the checkpoint is another strategy's")
    for moment, arrays in moments.items():
        setattr(strategy, moment, arrays)
