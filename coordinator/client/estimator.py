"""A released model as a scikit-learn classifier: numpy only, no torch."""

import hashlib
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from coordinator.client import frames
from coordinator.client.exports import MODEL, RECORD
from coordinator.client.frames import OutOfBounds
from models.errors import InvalidDocumentError, ProtocolViolationError, UsageError
from models.families import network
from models.families.encoding import Encoder
from models.governance.record import ReleaseRecord
from protos import codec


class ReleasedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    """A released model (`from_release`), or the same family fitted without privacy (`fit`).

    A released model predicts from a data frame with the columns that its study declares:
    numbers as numbers, categories as their texts. It may not be used to decide about
    individuals; see the release's card.

    `fit` is the comparison: a logistic regression on one's own numeric arrays, in one place and
    without any privacy protection. It discards a release.

    Args:
        out_of_bounds: what to do with numbers outside the declared bounds: `refuse` the whole
            frame, or `clamp` each to the nearest bound. A model has learned nothing out there.

    Attributes:
        classes_: the categories of the outcome, in the order of `predict_proba`'s columns.
        release_: the record (only of a released model).
    """

    def __init__(self, *, out_of_bounds: OutOfBounds = "refuse") -> None:
        self.out_of_bounds = out_of_bounds

    @classmethod
    def from_release(cls, folder: Path | str, *, out_of_bounds: OutOfBounds = "refuse") -> Self:
        """Give the model in an exported release's folder.

        Raises:
            UsageError: the folder does not hold a release.
            ProtocolViolationError: the model file is not the one that the record names.
        """
        folder = Path(folder)
        try:
            record_bytes = (folder / RECORD).read_bytes()
            content = (folder / MODEL).read_bytes()
        except OSError as error:
            raise UsageError(
                f"{folder} does not hold a release ({error.strerror})",
                hint="`datalabbet releases export` writes one.",
            ) from None
        try:
            record = codec.read_json(ReleaseRecord, record_bytes, what=str(folder / RECORD))
        except InvalidDocumentError as error:
            raise UsageError(error.message, hint="Export the release again.") from None
        return cls.from_parts(record, content, out_of_bounds=out_of_bounds)

    @classmethod
    def from_parts(
        cls, record: ReleaseRecord, content: bytes, *, out_of_bounds: OutOfBounds = "refuse"
    ) -> Self:
        """Give the model of a record and the bytes of its `model.safetensors`.

        Raises:
            ProtocolViolationError: the bytes are not those that the record names.
        """
        entry = record.file(MODEL)
        if entry is None or hashlib.sha256(content).hexdigest() != entry.sha256:
            raise ProtocolViolationError(f"{MODEL} is not the file that {RECORD} names")
        try:
            parameters = load_tensors(content)
        except SafetensorError:
            raise ProtocolViolationError(f"{MODEL} is not a safetensors file") from None
        network.check(network.NetworkSpec.of(record.study), parameters)
        model = cls(out_of_bounds=out_of_bounds)
        model.release_ = record
        model.parameters_ = parameters
        model.classes_ = np.array(record.study.target.categories)
        names = [column.name for column in record.study.inputs]
        model.feature_names_in_ = np.array(names, dtype=object)
        model.n_features_in_ = len(names)
        return model

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803 - scikit-learn's names
        """Fit a logistic regression on numeric arrays, without any privacy protection."""
        X, y = validate_data(self, X, y)  # noqa: N806 - scikit-learn's names
        check_classification_targets(y)
        self.model_ = LogisticRegression(max_iter=1000).fit(X, y)
        self.classes_ = self.model_.classes_
        for name in ("release_", "parameters_"):
            self.__dict__.pop(name, None)
        return self

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803 - as above
        """Give the probability of each class, of shape (rows, classes).

        Raises:
            DataContractError: a released model got a column that is not as declared.
        """
        check_is_fitted(self)
        release: ReleaseRecord | None = getattr(self, "release_", None)
        if release is not None:
            return network.probabilities(self.parameters_, self._encoded(release, X))
        X = validate_data(self, X, reset=False)  # noqa: N806 - as above
        result: npt.NDArray[np.float64] = self.model_.predict_proba(X)
        return result

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803 - as above
        """Give the most probable class of each row."""
        probabilities = self.predict_proba(X)
        chosen: npt.NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return chosen

    def _encoded(self, release: ReleaseRecord, X: Any) -> npt.NDArray[np.float32]:  # noqa: N803
        if not isinstance(X, pd.DataFrame):
            raise UsageError(
                "a released model predicts from a pandas data frame",
                hint=f"Its columns: {', '.join(self.feature_names_in_)}.",
            )
        study = release.study
        values = frames.columns(X, study.inputs, out_of_bounds=self.out_of_bounds)
        return Encoder.of(study.inputs, bins=study.model.bins).encode(values)
