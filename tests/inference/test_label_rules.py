"""Labels against examples worked out by hand (algorithms page, section 7)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from britekit.config import BaseConfig
from britekit.inference.label_rules import LabelRules, intervals_of_frames, intervals_of_windows, label_rules, named

RULES = LabelRules(min_score=0.5, duration_s=5.0, fps=4, second_pass=False)
SECONDS = 1000.0


def _windows(rules: LabelRules, starts: list[float], scores: list[float]) -> list[tuple[float, float, float]]:
    found = intervals_of_windows(np.array(starts), np.array(scores, np.float32), rules, SECONDS)
    return [(x.start, x.end, round(x.score, 6)) for x in named("r", "WREN", found)]


def _frames(rules: LabelRules, scores: list[float]) -> list[tuple[float, float, float]]:
    found = intervals_of_frames(np.array(scores, np.float32), rules, SECONDS)
    return [(x.start, x.end, round(x.score, 6)) for x in named("r", "WREN", found)]


def test_each_window_from_the_threshold_on():
    assert _windows(RULES, [0.0, 2.5, 5.0], [0.5, 0.49, 0.9]) == [(0.0, 5.0, 0.5), (5.0, 10.0, 0.9)]


def test_no_label_ends_behind_the_recording():
    found = intervals_of_windows(np.array([0.0, 2.5, 45.0]), np.full(3, 0.9, np.float32), RULES, 46.0)
    assert found.ends.tolist() == [5.0, 7.5, 46.0]
    # 46.1 s are 184 frames, 46 s, and 46.2 s are 185, 46.25 s.
    for seconds, frames, end in ((46.1, 184, 46.0), (46.2, 185, 46.2)):
        scores = np.full(frames, 0.9, np.float32)
        assert intervals_of_frames(scores, RULES, seconds).ends.tolist() == [end]
        fixed = dataclasses.replace(RULES, segment_frames=20)
        assert intervals_of_frames(scores, fixed, seconds).ends.tolist()[-2:] == [45.0, seconds]


def test_labels_below_the_threshold_are_marked():
    rules = dataclasses.replace(RULES, second_pass=True)
    scores = np.array([0.9, 0.8, 0.4, 0.5, 0.2], np.float32)
    found = intervals_of_windows(np.arange(5) * 5.0, scores, rules, SECONDS)
    assert found.starts.tolist() == [0, 5, 10, 15] and found.confirmed.tolist() == [False, False, True, False]
    assert not intervals_of_windows(np.arange(5) * 5.0, scores, RULES, SECONDS).confirmed.any()
    assert not BaseConfig().infer.lower_min_if_confirmed, "1.8.4 has it on"


def test_the_threshold_itself_counts_in_single_precision():
    rules = dataclasses.replace(RULES, min_score=0.7)
    assert _windows(rules, [0.0], [0.7]) == [(0.0, 5.0, 0.7)]


def test_a_run_of_frames_is_one_label():
    assert _frames(RULES, [0.6, 0.1, 0.5, 0.8, 0.7, 0.2, 0.9]) == [(0.0, 0.25, 0.6), (0.5, 1.25, 0.8), (1.5, 1.75, 0.9)]


def test_groups_of_frames_give_labels_of_one_length():
    rules = dataclasses.replace(RULES, segment_frames=4)
    assert _frames(rules, [0.1, 0.6, 0.2, 0.1, 0.1, 0.1, 0.4, 0.1, 0.8, 0.1]) == [(0.0, 1.0, 0.6), (2.0, 3.0, 0.8)]


def test_a_min_score_of_zero_labels_everything():
    zero = dataclasses.replace(RULES, min_score=0.0, second_pass=True)
    assert len(_windows(zero, [0.0, 5.0], [0.0, 0.2])) == 2
    assert len(_frames(dataclasses.replace(zero, segment_frames=4), [0.0] * 9)) == 3


def test_second_pass_of_windows():
    # min 0.5, confirmed at 0.75; windows at 0 and 2.5 confirm 7.5 s, those at 0 and 5 confirm 10 s
    rules = dataclasses.replace(RULES, second_pass=True)
    starts = [0.0, 2.5, 5.0, 7.5]
    assert _windows(rules, starts, [0.75, 0.8, 0.4, 0.3]) == [(0.0, 5.0, 0.75), (2.5, 7.5, 0.8)]
    assert _windows(rules, starts, [0.75, 0.29, 0.8, 0.3]) == [(0.0, 5.0, 0.75), (5.0, 10.0, 0.8), (7.5, 12.5, 0.3)]


def test_second_pass_of_frames():
    rules = dataclasses.replace(RULES, second_pass=True, confirmed_if_seconds=1.0)
    assert _frames(rules, [0.75, 0.75, 0.75, 0.1, 0.3]) == [(0.0, 0.75, 0.75)]
    assert _frames(rules, [0.75, 0.75, 0.75, 0.1, 0.3, 0.75]) == [(0.0, 0.75, 0.75), (1.0, 1.5, 0.75)]


def test_rules_come_from_the_settings():
    cfg = BaseConfig()
    assert label_rules(cfg, has_frames=True).segment_frames is None
    cfg.infer.segment_len = 2.0
    assert label_rules(cfg, has_frames=True).segment_frames == 8
    assert label_rules(cfg, has_frames=False).segment_frames is None


def test_a_test_run_with_frames_gets_labels_of_a_windows_length(caplog: pytest.LogCaptureFixture):
    cfg = BaseConfig()
    cfg.infer.min_score = 0
    rules = label_rules(cfg, has_frames=True)
    assert (rules.segment_frames, rules.segment_s) == (20, 5.0)
    assert "labels of 5 s" in caplog.text


@given(st.lists(st.floats(0, 1, width=32), max_size=60), st.floats(0.0625, 0.9375, width=32))
def test_runs_cover_exactly_the_frames_above(scores: list[float], min_score: float):
    rules = dataclasses.replace(RULES, min_score=min_score, fps=1)
    covered = {frame for start, end, _ in _frames(rules, scores) for frame in range(round(start), round(end))}
    assert covered == {frame for frame, score in enumerate(scores) if np.float32(score) >= np.float32(min_score)}


@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40),
    st.sampled_from([1.0, 2.5, 5.0]),
    st.floats(0.0625, 0.9375, width=32),
    st.sampled_from([5.0, 8.0, 20.0]),
)
def test_second_pass_against_the_definition(scores: list[float], step: float, min_score: float, confirmed_if: float):
    """Confirmed time is counted on a grid of half seconds, one class alone."""
    rules = dataclasses.replace(RULES, min_score=min_score, second_pass=True, confirmed_if_seconds=confirmed_if)
    starts = [number * step for number in range(len(scores))]
    singles = [np.float32(score) for score in scores]
    confirm = min_score + rules.raise_min_to_confirm * (1 - min_score)
    halves = {
        round(2 * start) + half
        for start, score in zip(starts, singles, strict=True)
        if score >= confirm
        for half in range(10)
    }
    threshold = min_score * rules.lower_min_factor if len(halves) / 2 >= confirmed_if else min_score
    expected = [start for start, score in zip(starts, singles, strict=True) if score >= threshold]
    assert [start for start, _, _ in _windows(rules, starts, scores)] == expected
    frames = dataclasses.replace(rules, fps=1)
    confirmed = sum(score >= confirm for score in singles)
    threshold = min_score * rules.lower_min_factor if confirmed >= confirmed_if else min_score
    covered = {n for start, end, _ in _frames(frames, scores) for n in range(round(start), round(end))}
    assert covered == {number for number, score in enumerate(singles) if score >= threshold}
