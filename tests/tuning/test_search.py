"""The study: no combination is lost or tried twice, wherever a process stops."""

import pytest

from britekit.config import BaseConfig
from britekit.tuning.search import Study
from britekit.tuning.space import space_of

ENTRY = {"name": "audio_power", "type": "float", "bounds": [0.2, 0.6], "step": 0.2}
WANTED = [0.2, 0.4, 0.6]


@pytest.fixture
def opened(tmp_path):
    """A function that opens the study as a new process would."""
    parameters = space_of([ENTRY], BaseConfig(), False, True)
    return lambda: Study(tmp_path, parameters, "grid", 0, {}, False)


def finish(study):
    while True:
        with study.next() as trial:
            if trial is None:
                break
            study.tell(trial, study.suggest(trial)[0])
    return sorted(study.values_of(trial)[0] for trial in study.done())


@pytest.mark.parametrize("suggested", [False, True], ids=["before its values are known", "later"])
def test_an_interrupted_trial_is_put_back_with_its_values(opened, suggested):
    study = opened()
    with pytest.raises(KeyboardInterrupt), study.next() as trial:
        if suggested:
            study.suggest(trial)
        raise KeyboardInterrupt
    assert finish(study) == WANTED


def test_a_trial_taken_by_a_process_killed_that_moment_is_put_back(opened):
    opened()._study.ask()  # and nothing more: nobody's name stands at it
    assert finish(opened()) == WANTED


def test_a_living_process_keeps_its_trial(opened):
    first, second = opened(), None
    with first.next() as trial:
        second = opened()
        assert len(finish(second)) == 2
        first.tell(trial, first.suggest(trial)[0])
    assert sorted(first.values_of(done)[0] for done in first.done()) == WANTED
