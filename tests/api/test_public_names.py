"""Every public name of public britekit 1.8.4 is here, or listed with its reason."""

import importlib.util
import inspect
import json
import subprocess
import sys
from pathlib import Path

import britekit as bk

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("api_table", ROOT / "scripts/api_table.py")
api_table = importlib.util.module_from_spec(spec)
spec.loader.exec_module(api_table)


def test_the_table_is_complete_and_current():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/api_table.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_gone_is_found(monkeypatch):
    ours = api_table.api_facts.facts()
    del ours["util.get_range"], ours["Audio.seconds"]
    ours["TrainingDatabase.insert_source"] = [["other", "POSITIONAL_OR_KEYWORD", ""]]
    monkeypatch.setattr(api_table.api_facts, "facts", lambda: ours)
    unlisted = {name for name, _, kind, _ in api_table.rows() if kind == "UNLISTED"}
    assert unlisted == {"util.get_range", "Audio.seconds", "TrainingDatabase.insert_source"}


def test_arguments_fit_by_position():
    theirs = json.loads((ROOT / "tests/api/public_api.json").read_text())
    for name in ("TrainingDatabase.insert_class", "Predictor", "Analyzer.run", "Extractor.extract_all"):
        value = bk
        for part in name.split("."):
            value = getattr(value, part)
        here = [p for p in inspect.signature(value).parameters if p != "self"]
        assert here[: len(theirs[name])] == [p for p, _, _ in theirs[name]]


def test_inner_names_that_clients_import():
    from britekit.core import audio, config_loader, exceptions, predictor, util

    assert audio.Audio is bk.Audio and predictor.Predictor is bk.Predictor
    assert exceptions.InferenceError is bk.InferenceError and config_loader.get_config is bk.get_config
    assert util.get_device is bk.util.get_device and ".wav" in util.AUDIO_EXTS


def test_settings_that_clients_extend_become_ours():
    import dataclasses

    from britekit.api.compat.settings import as_settings
    from britekit.core.base_config import BaseConfig

    @dataclasses.dataclass
    class Own(BaseConfig):
        hawkears: dict = dataclasses.field(default_factory=dict)

    own = Own()
    own.infer.min_score = 0.25
    own.infer.openvino_block_size = 3
    own.train.augmentations.clear()
    assert Own().train.augmentations != []
    found = as_settings(own)
    assert (found.infer.min_score, found.audio.check_seconds) == (0.25, 6.0)
