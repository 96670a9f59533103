"""Inner steps of public britekit 1.8.4's testers, which scripts call one by one, and its names of figures.

There each step fills attributes that the next one reads. Here truth and scores are read once (`data`); a step fills
the same attributes from it, so that scripts may call any of them in any order.

Legend: N units, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from britekit.errors import InputError
from britekit.metrics.ranking import COMBINED, ranking_summary

if TYPE_CHECKING:
    import pandas

_BOUNDS = (0.25, 0.5, 0.75)
_METRICS = ("macro_pr", "micro_pr", "macro_roc", "micro_roc", *COMBINED)


class TesterSteps:
    """The steps, for the testers of `britekit.api`.

    Attributes
    ----------
    trained_classes, annotated_classes
        Labels of classes in alphabetical order.
    trained_class_indexes, annotated_class_indexes
        Label to place in that order.
    y_true_trained_df, y_pred_trained_df, y_true_annotated_df, y_pred_annotated_df
        Truth and scores with a row for each unit, named in the first column, and a column for each class.
    y_true_trained, y_pred_trained, y_true_annotated, y_pred_annotated
        The same as float32 (N, C).
    """

    data: Any
    report: Any
    _data: Any
    _report: Any

    trained_classes: list[str]
    annotated_classes: list[str]
    trained_class_indexes: dict[str, int]
    annotated_class_indexes: dict[str, int]
    y_true_trained_df: pandas.DataFrame
    y_pred_trained_df: pandas.DataFrame
    y_true_annotated_df: pandas.DataFrame
    y_pred_annotated_df: pandas.DataFrame
    y_true_trained: NDArray[np.float32]
    y_pred_trained: NDArray[np.float32]
    y_true_annotated: NDArray[np.float32]
    y_pred_annotated: NDArray[np.float32]

    def set_class_indexes(self) -> None:
        """Set the lists of classes and their indexes."""
        labels = self.data.labels
        self.trained_classes = sorted(labels)
        self.annotated_classes = sorted(labels[c] for c in self.data.annotated)
        self.trained_class_indexes = {name: place for place, name in enumerate(self.trained_classes)}
        self.annotated_class_indexes = {name: place for place, name in enumerate(self.annotated_classes)}

    def get_labels(
        self,
        label_dir: str,
        segment_len: float | None = None,
        overlap: float | None = None,
        ignore_unannotated: bool = False,
        trim_overlap: bool = True,
    ) -> None:
        """Read the scores of another directory.

        Lengths and overlaps of segments are those of the scores; labels of classes without annotations are read and
        ignored where figures are those of annotated classes.
        """
        self.label_dir = Path(label_dir)
        self._data = self._report = None
        _ = self.data

    def init_y_true(self) -> None:
        """Set the tables of truth."""
        self.y_true_trained_df, self.y_true_annotated_df = self._tables(self.data.truth_NC.astype(int))

    def init_y_pred(self, segments_per_recording: Any = None, use_max_score: bool = True) -> None:
        """Set the tables of scores; a unit has the highest of its labels, and all annotated units are in the test."""
        self.y_pred_trained_df, self.y_pred_annotated_df = self._tables(self.data.scores_NC)

    def convert_to_numpy(self) -> None:
        """Set the arrays of truth and scores."""
        self.init_y_true()
        self.init_y_pred()
        for name in ("y_true_trained", "y_pred_trained", "y_true_annotated", "y_pred_annotated"):
            setattr(self, name, getattr(self, f"{name}_df").iloc[:, 1:].to_numpy(np.float32))

    def check_if_arrays_match(self) -> None:
        """Raise `InputError` unless the tables of truth and scores have the same units and classes."""
        for kind in ("trained", "annotated"):
            if not hasattr(self, f"y_true_{kind}_df") or not hasattr(self, f"y_pred_{kind}_df"):
                self.convert_to_numpy()
            truth, scores = getattr(self, f"y_true_{kind}_df"), getattr(self, f"y_pred_{kind}_df")
            if list(truth.columns) != list(scores.columns) or list(truth.iloc[:, 0]) != list(scores.iloc[:, 0]):
                raise InputError(f"y_true_{kind}_df and y_pred_{kind}_df differ in rows or columns; make both again")

    def get_auc_metric(self, metric: str, y_pred_trained: ArrayLike | None = None) -> float:
        """Return one figure, also for other scores.

        Parameters
        ----------
        metric
            ``macro_pr``, ``micro_pr``, ``macro_roc``, ``micro_roc``, or a mean of two, ``combo_pr`` or ``combo_roc``.
            Macro is over annotated, micro over all trained classes.
        y_pred_trained
            (N, C) scores in the order of `trained_classes`; default: those of the test.

        Raises
        ------
        InputError
            The metric is unknown, or the scores have another shape.
        """
        if metric not in _METRICS:
            raise InputError(f'metric "{metric}" is unknown; expected {", ".join(_METRICS)}')
        data = self.data
        scores = data.scores_NC
        if y_pred_trained is not None:
            given = np.asarray(y_pred_trained)
            if given.shape != scores.shape:
                raise InputError(f"the scores have shape {given.shape}; expected {scores.shape}")
            scores = given[:, np.argsort(np.argsort(data.labels))]
        found = ranking_summary(data.truth_NC, scores, data.annotated)
        names = COMBINED.get(metric, (f"{metric}_trained" if metric.startswith("micro") else metric,))
        return float(np.mean([found[name] for name in names]))

    def get_non_annotated_class_details(self) -> dict[str, list[int]]:
        """Return, for each class without annotations, how many units score at least 0.25, 0.5 and 0.75."""
        data = self.data
        others = sorted(set(range(len(data.labels))) - set(data.annotated), key=lambda c: data.labels[c])
        return {data.labels[c]: [int((data.scores_NC[:, c] >= bound).sum()) for bound in _BOUNDS] for c in others}

    def interpolate(
        self, x_values: ArrayLike, y_values: ArrayLike, increasing: bool = True, decimal_places: int = 2
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return y, within 0 to 1, at x = 0, 0.01, 0.02 … below 1 (with two decimal places), linearly interpolated."""
        x, y = np.asarray(x_values, float), np.asarray(y_values, float)
        if not increasing:
            x, y = x[::-1], y[::-1]
        count = 10**decimal_places
        grid = np.round(np.arange(count) / count, decimal_places)
        return grid, np.clip(np.interp(grid, x, y), 0, 1)

    def list_to_string(self, my_list: Iterable[Any]) -> str:
        """Return the items of a list, each followed by a space."""
        return "".join(f"{item} " for item in my_list)

    def _tables(self, values_NC: NDArray[Any]) -> tuple[pandas.DataFrame, pandas.DataFrame]:
        import pandas

        self.set_class_indexes()
        frame = pandas.DataFrame(values_NC, columns=self.data.labels)
        frame.insert(0, "", self._unit_names())
        return frame[["", *self.trained_classes]], frame[["", *self.annotated_classes]]

    def _unit_names(self) -> Sequence[str]:
        """Return the names of rows, whose blocks public britekit counts from 0."""
        data = self.data
        if data.unit != "block":
            return list(data.row_names)
        pairs = zip(data.groups_N.tolist(), data.numbers_N.tolist(), strict=True)
        return [f"{data.recordings[r]}-{number - 1}" for r, number in pairs]


def with_their_names(figures: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return areas under curves also under the names of 1.8.4; ``kind`` is ``pr`` or ``roc``."""
    macro, micro, trained = figures["macro"], figures["micro_annotated"], figures["micro_trained"]
    return {
        **figures,
        f"macro_{kind}_auc": macro,
        f"micro_{kind}_auc_annotated": micro,
        f"micro_{kind}_auc_trained": trained,
        f"class_{kind}_auc": figures["classes"],
        f"combined_{kind}_auc_annotated": (macro + micro) / 2,
        f"combined_{kind}_auc_trained": (macro + trained) / 2,
    }


def roc_points(truth_NC: NDArray[np.bool_], scores_NC: NDArray[np.float32], kind: str) -> dict[str, NDArray[Any]]:
    """Return the corners of the ROC curve of all cells under names of 1.8.4, which end with ``kind``."""
    order = np.argsort(-scores_NC.ravel(), kind="stable")
    truth, scores = truth_NC.ravel()[order], scores_NC.ravel()[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    true = np.cumsum(truth)[last]
    false = last + 1 - true
    inner = (np.diff(false, 2) != 0) | (np.diff(true, 2) != 0)
    keep = np.concatenate(([True], inner, [True])) if len(last) > 2 else np.ones(len(last), bool)
    true, false, scores = true[keep], false[keep], scores[last][keep]
    return {
        f"roc_fpr_{kind}": np.append(0, false) / max(1, false[-1]),
        f"roc_tpr_{kind}": np.append(0, true) / max(1, true[-1]),
        f"roc_thresholds_{kind}": np.append(np.inf, scores),
    }
