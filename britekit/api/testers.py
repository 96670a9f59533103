"""The three kinds of tests, for notebooks and scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from britekit.api.compat.tester_steps import TesterSteps, roc_points, with_their_names
from britekit.config import BaseConfig, get_config
from britekit.evaluation import calibrating
from britekit.evaluation.calibrating import CalibrationResult
from britekit.evaluation.granularity import BLOCK_S, Unit, check_precision, read_units
from britekit.evaluation.report_files import write_report
from britekit.evaluation.scored_segments import ScoredSegments
from britekit.evaluation.scored_units import ScoredUnits
from britekit.evaluation.thresholded_values import choose_decisions
from britekit.evaluation.unit_report import UnitReport, report_units
from britekit.metrics.curves import Curve, curve_at, rounded_thresholds
from britekit.metrics.ranking import mean_defined


class _Tester(TesterSteps):
    """Base of all testers: a test is read and computed on first use."""

    unit: ClassVar[Unit]

    def __init__(
        self,
        annotation_path: str | Path,
        recording_dir: str | Path | None,
        label_dir: str | Path,
        output_dir: str | Path,
        threshold: float,
        cfg: BaseConfig | None = None,
    ) -> None:
        self.annotation_path = Path(annotation_path)
        self.recording_dir = None if recording_dir is None else Path(recording_dir)
        self.label_dir = Path(label_dir)
        self.output_dir = Path(output_dir)
        self.threshold = threshold
        self.cfg = cfg if cfg is not None else get_config()
        self._block_s, self._wanted = BLOCK_S, None  # type: tuple[float, float | None]
        self._data: ScoredSegments | ScoredUnits | None = None
        self._report: UnitReport | None = None

    @property
    def data(self) -> Any:
        """Truth and scores: a `ScoredSegments` per segment, else a `ScoredUnits`."""
        if self._data is None:
            self._data = read_units(
                self.unit, self.annotation_path, self.label_dir, self.recording_dir, self.cfg, self._block_s
            )
        return self._data

    @property
    def report(self) -> UnitReport:
        """All figures with their intervals."""
        if self._report is None:
            decisions = choose_decisions(self.data, self.cfg)
            self._report = report_units(self.data, self.threshold, decisions, self._wanted)
        return self._report

    def get_annotations(self) -> dict[str, list[tuple[str, str]]]:
        """Return, per recording, unit and class of each true cell."""
        data = self.data
        found: dict[str, list[tuple[str, str]]] = {name: [] for name in data.recordings}
        for n, c in np.argwhere(data.truth_NC):
            found[data.recordings[data.groups_N[n]]].append((data.row_names[n], data.labels[c]))
        return found

    def get_pr_auc_stats(self) -> dict[str, Any]:
        """Return macro and micro PR-AUC, and that of each annotated class."""
        ranked, figures = self.report.per_class, self.report.metrics()
        found = {
            "macro": mean_defined(ranked.pr_auc_C),
            "micro_annotated": figures["micro_pr"],
            "micro_trained": figures["micro_pr_trained"],
            "classes": dict(zip(self._annotated(), ranked.pr_auc_C.tolist(), strict=True)),
        }
        return with_their_names(found, "pr")

    def get_roc_auc_stats(self) -> dict[str, Any]:
        """Return macro and micro ROC-AUC, and that of each annotated class."""
        ranked, figures = self.report.per_class, self.report.metrics()
        found = {
            "macro": mean_defined(ranked.roc_auc_C),
            "micro_annotated": figures["micro_roc"],
            "micro_trained": figures["micro_roc_trained"],
            "classes": dict(zip(self._annotated(), ranked.roc_auc_C.tolist(), strict=True)),
        }
        data, columns = self.data, self.data.annotated
        return {
            **with_their_names(found, "roc"),
            **roc_points(data.truth_NC[:, columns], data.scores_NC[:, columns], "annotated"),
            **roc_points(data.truth_NC, data.scores_NC, "trained"),
        }

    def get_precision_recall(self, threshold: float | None = None, details: bool = False) -> dict[str, Any]:
        """Return precision and recall at a threshold, over annotated and over trained classes.

        Parameters
        ----------
        threshold
            Default: that of the tester.
        details
            Also those of each annotated class.
        """
        chosen = self.threshold if threshold is None else threshold
        report = self.report
        if chosen != report.threshold:
            report = report_units(self.data, chosen, report.decisions, self._wanted, replicates=0)
        found, columns = report.detections, self.data.annotated
        result: dict[str, Any] = {
            "precision_annotated": found.precision(columns),
            "recall_annotated": found.recall(columns),
            "precision_trained": found.precision(),
            "recall_trained": found.recall(),
            **self._seconds(report),
        }
        if details:
            rates = zip(found.precision_C[columns].tolist(), found.recall_C[columns].tolist(), strict=True)
            result["classes"] = dict(zip(self._annotated(), rates, strict=True))
        return result

    def _seconds(self, report: UnitReport) -> dict[str, float]:
        """Return precision and detected seconds at the threshold, of annotated classes."""
        columns, seconds = self.data.annotated, report.seconds
        if seconds is None:  # every segment has the same length
            hits = report.found_NC[:, columns]
            true = float((hits & self.data.truth_NC[:, columns]).sum(axis=1) @ self.data.lengths_N)
            false = float(hits.sum(axis=1) @ self.data.lengths_N) - true
        else:
            true, false = float(seconds.true_RC[:, columns].sum()), float(seconds.false_RC[:, columns].sum())
        precision = true / (true + false) if true + false else 0.0
        return {"precision_secs": precision, "tp_secs": true, "fp_secs": false}

    def get_pr_table(self) -> Curve:
        """Return precision and recall of the trained classes at each threshold."""
        return curve_at(self.report.trained, rounded_thresholds(self.report.trained))

    def produce_reports(self) -> list[Path]:
        """Write every file of the test; returns their paths."""
        return write_report(self.report, self.output_dir)

    def run(self) -> UnitReport:
        """Compute the test, write its files and return it."""
        self.produce_reports()
        return self.report

    def _annotated(self) -> list[str]:
        return [self.data.labels[c] for c in self.data.annotated]


class PerSegmentTester(_Tester):
    """A test per segment, or with ``calibrate`` a calibration.

    Parameters
    ----------
    annotation_path, recording_dir, label_dir, output_dir
        As for the command rpt-test.
    threshold
        A value at or above it is a detection.
    calibrate
        Whether `run` fits a calibration instead of testing.
    cutoff, coef, inter
        As for the command calibrate.
    save_matrices
        Whether to write the matrices of truth and scores.
    cfg
        Settings; default `get_config()`.
    """

    unit = "segment"

    def __init__(
        self,
        annotation_path: str | Path,
        recording_dir: str | Path | None,
        label_dir: str | Path,
        output_dir: str | Path,
        threshold: float,
        calibrate: bool = False,
        cutoff: float = 0.4,
        coef: float | None = None,
        inter: float | None = None,
        save_matrices: bool = True,
        cfg: BaseConfig | None = None,
    ) -> None:
        super().__init__(annotation_path, recording_dir, label_dir, output_dir, threshold, cfg)
        self.calibrate, self.cutoff, self.save_matrices = calibrate, cutoff, save_matrices
        self._given = None if coef is None or inter is None else (coef, inter)

    def initialize(self) -> None:
        """Read annotations and scores now instead of at the first question."""
        self._data, self._report = None, None
        _ = self.data

    def get_offsets(self) -> dict[str, NDArray[np.float64]]:
        """Return, per recording, the starts of its segments in seconds."""
        data: ScoredSegments = self.data
        return {
            name: data.grid.starts_N[first : first + rows]
            for name, first, rows in zip(data.recordings, data.grid.first_R, data.grid.rows_R, strict=True)
        }

    def produce_reports(self) -> list[Path]:
        """Write every file of the test; returns their paths."""
        return write_report(self.report, self.output_dir, save_matrices=self.save_matrices)

    def get_segments(self, start_time: float, end_time: float, min_seconds: float = 0.3) -> list[int]:
        """Return the segments, from 0, in which a sound from start to end is heard.

        ``min_seconds`` is accepted for scripts of public britekit; how much must be held is the one rule of tests.
        """
        from britekit.evaluation.grid import build_grid, mark_truth

        grid = self.data.grid
        long = build_grid([end_time + 2 * grid.length_s], grid.length_s, grid.step_s)
        return np.flatnonzero(mark_truth(long, [0], [0], [start_time], [end_time], 1)[:, 0]).tolist()

    def do_calibration(self) -> CalibrationResult:
        """Fit a calibration, write its file and pictures, and return it."""
        result = calibrating.calibrate_scores(self.data, self.cutoff, self._given)
        self.plot_calibration_curve(result)
        calibrating.write_bins(self.output_dir / "calibration.csv", result)
        if self._given is None:
            calibrating.write_calibration(self.output_dir / "calibration.yaml", result, self.data)
        return result

    def plot_calibration_curve(self, result: CalibrationResult) -> Path:
        """Draw the reliability diagram; returns its path."""
        a, b = result.fit.coefficient, result.fit.intercept
        path = self.output_dir / f"calibration-{a:.2f}-{b:.2f}.png"
        calibrating.plot_calibration(path, result)
        return path

    def run(self) -> Any:
        """Test, or with ``calibrate`` fit a calibration; writes the files and returns the result."""
        return self.do_calibration() if self.calibrate else super().run()

    def get_recording_info(self) -> None:
        """Set `recording_duration`, recording to seconds."""
        data = self.data
        self.recording_duration = dict(zip(data.recordings, data.seconds_R.tolist(), strict=True))


class PerBlockTester(_Tester):
    """A test per block.

    Parameters
    ----------
    annotation_path, recording_dir, label_dir, output_dir
        As for the command rpt-test.
    threshold
        A value at or above it is a detection.
    block_size
        Seconds.
    gen_pr_table
        Whether to write tables and pictures over all thresholds.
    cfg
        Settings; default `get_config()`.
    """

    unit = "block"

    def __init__(
        self,
        annotation_path: str | Path,
        recording_dir: str | Path | None,
        label_dir: str | Path,
        output_dir: str | Path,
        threshold: float,
        block_size: float = 60,
        gen_pr_table: bool = True,
        cfg: BaseConfig | None = None,
    ) -> None:
        super().__init__(annotation_path, recording_dir, label_dir, output_dir, threshold, cfg)
        self._block_s, self.gen_pr_table = float(block_size), gen_pr_table

    def produce_reports(self) -> list[Path]:
        """Write every file of the test; returns their paths."""
        return write_report(self.report, self.output_dir, pr_table=self.gen_pr_table)


PerMinuteTester = PerBlockTester


class PerRecordingTester(_Tester):
    """A test per recording.

    Parameters
    ----------
    annotation_path, recording_dir, label_dir, output_dir
        As for the command rpt-test.
    threshold
        A value at or above it is a detection.
    tp_secs_at_precision
        Report the seconds of true detections at this precision.
    cfg
        Settings; default `get_config()`.
    """

    unit = "recording"

    def __init__(
        self,
        annotation_path: str | Path,
        recording_dir: str | Path | None,
        label_dir: str | Path,
        output_dir: str | Path,
        threshold: float,
        tp_secs_at_precision: float = 0.95,
        cfg: BaseConfig | None = None,
    ) -> None:
        super().__init__(annotation_path, recording_dir, label_dir, output_dir, threshold, cfg)
        self._wanted = check_precision(tp_secs_at_precision)
