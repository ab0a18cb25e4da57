"""The measured quality, as the record keeps it."""

from models.evaluation.intervals import Estimate
from models.evaluation.metrics import Metrics
from models.governance.record import Calibration, Interval, Quality, Withheld


def quality_of(metrics: Metrics | None) -> Quality | None:
    """Give the record's form of the metrics; None if nothing was measured."""
    if metrics is None:
        return None
    return Quality(
        residents=_known(metrics.residents),
        auc=_interval(metrics.auc),
        accuracy=_interval(metrics.accuracy),
        calibration_error=_interval(metrics.calibration_error),
        auc_by_class=tuple(_interval(figure) for figure in metrics.auc_by_class),
        calibration=tuple(
            Calibration(
                low=step.low,
                high=step.high,
                predicted=step.predicted,
                observed=_interval(step.observed),
            )
            for step in metrics.reliability
        ),
        withheld=tuple(
            Withheld(figure=item.figure, reason=item.reason) for item in metrics.withheld
        ),
    )


def _interval(estimate: Estimate | None) -> Interval | None:
    return None if estimate is None else _known(estimate)


def _known(estimate: Estimate) -> Interval:
    return Interval(value=estimate.value, low=estimate.low, high=estimate.high)
