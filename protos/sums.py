"""The names on the wire of a run with secure sums; both ends read them here.

Messages are Flower's, between coordinator and node. Records: `config` (numbers) and `arrays`. An
array holds numbers as Flower writes them, or (`RAW`) bytes as they are: a canonical document, the
elements of a ring.

    message            to                  config          arrays            answered with
    query.offer        everybody           -               -                 offer
    query.join         everybody           -               offers            cohort
    train.histogram    departments         attempt         -                 context, sum
    train.step         departments         step, attempt   a point           context, sum
    evaluate.scores    departments         attempt         the model         context, sum
    query.masks        witness             -               request           set, sum

In federated averaging under masks a step is a round, its point the model, and there is no
histogram.
"""

OFFER, JOIN, MASKS = "query.offer", "query.join", "query.masks"
HISTOGRAM, STEP, SCORES = "train.histogram", "train.step", "evaluate.scores"

RAW = "datalabbet.raw"
"""The `stype` of an array whose bytes are not numpy's."""

MOST_RAW = 1 << 20
"""The largest document in an array, in bytes."""
