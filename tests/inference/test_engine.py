"""The engine: equal to scoring one recording after another, from any number of threads; errors stay apart."""

from __future__ import annotations

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from britekit.audio.threads import single_threaded_products
from britekit.audio.window_grid import WindowGrid
from britekit.audio.windows import Windows
from britekit.errors import InferenceError, InputError
from britekit.inference.engine import Engine, RecordingScores, TooLong
from britekit.inference.ensemble import Ensemble, load_ensemble
from britekit.inference.model_files import resolve_for_models
from britekit.inference.recording_job import Job
from britekit.inference.scoring import score_recordings
from tests.inference.conftest import CLASSES, write_recording
from tests.inference.fakes import make_fake_member


@pytest.fixture
def ensemble() -> Ensemble:
    make_fake_member(Path("models/ckpt"), CLASSES, frames=12)
    make_fake_member(Path("models/ckpt"), CLASSES, frames=12, name="seed-2", seed=1)
    cfg, paths = resolve_for_models(None, {"infer.overlap": 1.0, "misc.force_cpu": True})
    return load_ensemble(cfg, paths)


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    lengths = [0.2, 1.1, 3.0, 5.5, 40.0, 130.0, 7.3, 12.0]
    return [write_recording(tmp_path / f"r{n}.wav", seconds, n) for n, seconds in enumerate(lengths)]


def _same(one: RecordingScores, two: RecordingScores) -> bool:
    assert one.frames is not None and two.frames is not None
    return (
        one.starts.tobytes() == two.starts.tobytes()
        and one.scores.tobytes() == two.scores.tobytes()
        and one.frames.tobytes() == two.frames.tobytes()
        and one.seconds == two.seconds
    )


def test_is_the_ensemble_over_the_windows(ensemble: Ensemble, recordings: list[Path]):
    with Engine(ensemble) as engine:
        found = engine.score(recordings[5])
    windows = Windows(recordings[5], ensemble.audio, WindowGrid(ensemble.duration, 2.0, 1.0))
    with single_threaded_products():  # as in the engine: a product split over threads differs in the last bit
        batches = list(windows.batches())
    assert found.starts.tolist() == [start for batch in batches for start in batch.starts]
    expected = np.concatenate([ensemble.score(batch.spectrograms)[0] for batch in batches])
    assert found.scores.tobytes() == expected.tobytes()
    assert found.seconds == windows.seconds == 130.0
    assert found.frames is not None and found.frames.shape == (520, 3)


@pytest.mark.parametrize("overlap, step", [(0.0, 3.0), (2.8, 0.2)])
def test_windows_reach_the_end_of_a_recording_at_the_step_of_the_settings(tmp_path, overlap, step):
    make_fake_member(Path("models/ckpt"), CLASSES)
    cfg, paths = resolve_for_models(None, {"infer.overlap": overlap, "misc.force_cpu": True})
    path = write_recording(tmp_path / "x.wav", 10.4)
    with Engine(load_ensemble(cfg, paths)) as engine:
        starts = engine.score(path).starts
    on_grid = np.arange(0, 9.4 + 1e-6, step)
    # With steps of 3 s, the window at 9 s holds the 1.4 s that are left; a second must be left.
    np.testing.assert_allclose(starts, on_grid)
    with Engine(load_ensemble(cfg, paths)) as engine:
        starts = engine.score(write_recording(tmp_path / "y.wav", 9.9)).starts
    np.testing.assert_allclose(starts[-1], 6.9 if step == 3.0 else 8.8)


def test_results_depend_on_neither_threads_nor_company(ensemble: Ensemble, recordings: list[Path]):
    with Engine(ensemble, threads=1) as engine:
        alone = [engine.score(path) for path in recordings]
    for threads, most_open in [(1, 5), (3, 3), (4, 8)]:
        with Engine(ensemble, threads, most_open) as engine, ThreadPoolExecutor(8) as pool:
            together = list(pool.map(engine.score, recordings))
        assert all(map(_same, alone, together))
    with Engine(ensemble) as engine:
        found = _by_path(engine, recordings)
    assert all(_same(result, found[path]) for path, result in zip(recordings, alone, strict=True))


def _by_path(engine: Engine, paths: list[Path]) -> dict[Path, RecordingScores | BaseException]:
    return {path: result for _, path, result in score_recordings(engine, ((path.stem, path) for path in paths))}


def test_too_short_gives_nothing(ensemble: Ensemble, recordings: list[Path]):
    with Engine(ensemble) as engine:
        found = engine.score(recordings[0])
    assert found.scores.shape == (0, 3)
    assert found.frames is not None and found.frames.shape == (0, 3)
    assert found.seconds == pytest.approx(0.2)


def test_a_late_start(ensemble: Ensemble, recordings: list[Path]):
    with Engine(ensemble) as engine:
        found = engine.score(recordings[7], start_seconds=4.0)
    assert found.starts.tolist() == [4.0, 6.0, 8.0, 10.0]
    assert found.frames is not None
    assert (found.frames[:16] == 0).all() and (found.frames[16:] > 0).all()


def test_one_bad_recording_spares_the_others(ensemble: Ensemble, recordings: list[Path], tmp_path: Path):
    (tmp_path / "bad.wav").write_bytes(b"RIFF nothing")
    paths = [tmp_path / "bad.wav", *recordings, tmp_path / "vanished.wav"]
    with Engine(ensemble) as engine:
        found = _by_path(engine, paths)
    assert isinstance(found[paths[0]], InputError)
    assert isinstance(found[paths[-1]], InputError)
    assert all(isinstance(found[path], RecordingScores) for path in recordings)


def test_a_model_that_fails_ends_its_recordings_not_the_engine(
    ensemble: Ensemble, recordings: list[Path], monkeypatch: pytest.MonkeyPatch
):
    def broken(spectrograms: np.ndarray) -> None:
        raise MemoryError("no room")

    with Engine(ensemble) as engine:
        with monkeypatch.context() as patch:
            patch.setattr(ensemble, "score", broken)
            with pytest.raises(MemoryError, match="no room"):
                engine.score(recordings[5])
        assert len(engine.score(recordings[5]).starts) == 65


def test_scores_that_are_no_numbers_fail_their_recording_alone(
    ensemble: Ensemble, recordings: list[Path], monkeypatch: pytest.MonkeyPatch
):
    # As of a training that diverged: without this a recording would have no labels, and nobody would know.
    score = ensemble.score

    def partly_nan(spectrograms: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        segment, frames = score(spectrograms)
        assert frames is not None
        segment[4:, 1] = np.nan
        return segment, frames

    batches = [next(Windows(recordings[n], ensemble.audio, ensemble.grid()).batches()) for n in (2, 6)]
    jobs = [Job(recordings[n], ensemble, 0.0, None, None) for n in (2, 6)]
    monkeypatch.setattr(ensemble, "score", partly_nan)
    with Engine(ensemble) as engine:
        engine._score_chunks(list(zip(jobs, batches, strict=True)))
    assert not jobs[0].future.done()
    with pytest.raises(InferenceError, match="NaN for the window at 6 s"):
        jobs[1].future.result(0)


def test_too_long_is_given_up(ensemble: Ensemble, recordings: list[Path]):
    with Engine(ensemble) as engine:
        for path in (recordings[4], recordings[5]):
            with pytest.raises(TooLong, match="longer than 12 s"):
                engine.score(path, max_seconds=12.0)
        assert engine.score(recordings[7], max_seconds=12.0).seconds == 12.0


def test_a_short_recording_overtakes_a_long_one(ensemble: Ensemble, tmp_path: Path):
    long = write_recording(tmp_path / "long.wav", 500.0)
    short = write_recording(tmp_path / "short.wav", 5.0)
    with Engine(ensemble, threads=1, open_recordings=4) as engine:
        slow = engine.submit(long)
        engine.score(short)
        assert not slow.done()


def test_closing_leaves_nobody_waiting(ensemble: Ensemble, recordings: list[Path], tmp_path: Path):
    before = threading.active_count()
    long = write_recording(tmp_path / "long.wav", 600.0)
    engine = Engine(ensemble, threads=2)
    futures = [engine.submit(path) for path in [long, long, *recordings, long]]
    engine.close()
    engine.close()
    assert threading.active_count() == before
    assert all(future.done() for future in futures)
    with pytest.raises(InferenceError, match="engine is closed"):
        engine.submit(long)


def test_files_are_closed_and_only_a_few_are_in_hand(ensemble: Ensemble, tmp_path: Path):
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("needs /proc")
    path = write_recording(tmp_path / "clip.wav", 2.0)
    before = len(os.listdir(handles))
    begun = 0

    def source():
        nonlocal begun
        for _ in range(300):
            begun += 1
            yield path

    with Engine(ensemble, threads=2) as engine:
        named = ((path.stem, path) for path in source())
        for done, (_, _, result) in enumerate(score_recordings(engine, named), start=1):
            assert isinstance(result, RecordingScores)
            assert begun - done <= 4 + 2
    gc.collect()
    assert done == 300
    assert len(os.listdir(handles)) <= before + 2
