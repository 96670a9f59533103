"""A few spectrograms per recording and epoch: against a loop over recordings, and through batches."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from britekit.config.layers import from_dict
from britekit.datasets.bank import Bank
from britekit.datasets.batches import TrainingBatches
from britekit.datasets.per_recording import first_per_recording, sample_per_recording
from britekit.errors import ConfigError, TrainingError

RECORDINGS = np.array([7, 7, 7, 3, 3, 7, 9, 3, 3, 3, 5, 5, 5])
# Class 1 is heard in recordings 5 and 9 alone; one spectrogram of 5 has class 0 too.
LABELS = np.array([[r not in (5, 9) or k == 10, r in (5, 9)] for k, r in enumerate(RECORDINGS)], np.uint8)


@pytest.mark.parametrize("most", [1, 2, 4, 99])
def test_each_recording_gives_at_most_so_many(most):
    sampler = sample_per_recording(RECORDINGS, LABELS, most)
    for seed in range(20):
        chosen = sampler.choose(seed)
        assert len(chosen) == sampler.size == len(set(chosen)) and list(chosen) == sorted(chosen)
        for recording in set(RECORDINGS):
            have = (recording == RECORDINGS).sum()
            assert (RECORDINGS[chosen] == recording).sum() == min(most, have)


def test_choices_are_even_differ_and_repeat():
    sampler = sample_per_recording(RECORDINGS, LABELS, 2)
    assert np.array_equal(sampler.choose(5), sampler.choose(5))
    counts = np.zeros(len(RECORDINGS))
    for seed in range(2000):
        counts[sampler.choose(seed)] += 1
    expected = [min(1, 2 / (r == RECORDINGS).sum()) for r in RECORDINGS]
    np.testing.assert_allclose(counts / 2000, expected, atol=0.05)


def test_rare_classes_are_spared(caplog):
    caplog.set_level("INFO", "britekit")
    sampler = sample_per_recording(RECORDINGS, LABELS, 1, 3, ["Wren", "Owl"])
    assert sampler.size == 2 + 4  # one each of recordings 3 and 7, all of 5 and 9
    assert set(np.flatnonzero(LABELS[:, 1])) <= set(sampler.choose(0))
    assert "6 of 13 training spectrograms are used per epoch; all of Owl" in caplog.text
    assert sample_per_recording(RECORDINGS, LABELS, 1, 2).size == 4  # two recordings are enough


def test_the_first_of_each_recording():
    for most in (1, 2, 9):
        seen, expected = {}, []
        for recording in RECORDINGS:
            seen[recording] = seen.get(recording, 0) + 1
            expected.append(seen[recording] <= most)
        assert first_per_recording(RECORDINGS, most).tolist() == expected


def test_epochs_of_batches_use_the_choice():
    samples = SimpleNamespace(images=np.zeros((13, 2, 2), np.uint8), labels=LABELS)
    members = torch.tensor([0, 1, 2, 5, 10, 11, 12])  # of recordings 7 and 5
    sampler = sample_per_recording(RECORDINGS[members], LABELS[members], 2)
    batches = TrainingBatches(Bank(samples), members, 3, seed=1, per_recording=sampler)
    epochs = [torch.cat(list(batches.indices(epoch))).tolist() for epoch in range(30)]
    assert len(batches) == 1 and all(len(set(epoch)) == 4 for epoch in epochs)  # a rest of one joins the batch
    assert all(sorted(RECORDINGS[epoch]) == [5, 5, 7, 7] for epoch in epochs)
    assert {k for epoch in epochs for k in epoch} == set(members.tolist())
    again = TrainingBatches(Bank(samples), members, 3, seed=1, per_recording=sampler)
    assert torch.cat(list(again.indices(7))).tolist() == epochs[7]


def test_a_file_without_recordings_and_settings_without_effect_are_errors():
    with pytest.raises(TrainingError, match=r"train\.max_per_recording needs to know the recording"):
        sample_per_recording(None, LABELS, 1)
    with pytest.raises(TrainingError, match=r"train\.val_max_per_recording needs"):
        first_per_recording(None, 1)
    with pytest.raises(ConfigError) as caught:
        from_dict({"train": {"max_per_recording_min_recordings": 3, "val_max_per_recording": 3}})
    assert "which is null" in str(caught.value) and "needs held-out data" in str(caught.value)
