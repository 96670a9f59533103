"""Annotations, labels and verdicts about recordings, and functions that read them."""

from britekit.annotations.classes import ClassInfo as ClassInfo
from britekit.annotations.classes import read_classes as read_classes
from britekit.annotations.labels import Label as Label
from britekit.annotations.labels import read_labels as read_labels
from britekit.annotations.scores import ScoreTable as ScoreTable
from britekit.annotations.segments import Annotation as Annotation
from britekit.annotations.verdicts import Verdict as Verdict
from britekit.annotations.verdicts import read_verdicts as read_verdicts
from britekit.formats import read_any_annotations as read_annotations

__all__ = [
    "Annotation",
    "ClassInfo",
    "Label",
    "ScoreTable",
    "Verdict",
    "read_annotations",
    "read_classes",
    "read_labels",
    "read_verdicts",
]
