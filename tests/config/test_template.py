"""`params.yaml` and the reference page are what the dataclasses say."""

import subprocess
from pathlib import Path

import pytest
import ruamel.yaml
import yaml

from britekit.config import BaseConfig, from_dict, reference_text, resolve, template_text
from britekit.config.__main__ import DEMO
from britekit.config.augmentations import KNOWN
from britekit.config.base import SECTIONS
from britekit.config.fields import declared
from britekit.config.template import yaml_text

ROOT = Path(__file__).parents[2]


def test_template_holds_every_field_with_its_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "c.yaml"
    path.write_text(template_text())
    assert resolve(path) == BaseConfig()
    plain = yaml.safe_load(template_text())
    assert {key: list(fields) for key, fields in plain.items()} == {
        key: list(declared(section)) for key, section in SECTIONS.items()
    }


def test_both_yaml_versions_read_it_alike():
    """DVC reads YAML 1.2, most other programs 1.1."""
    old = yaml.safe_load(template_text())
    new = ruamel.yaml.YAML(typ="safe", pure=True).load(template_text())
    assert old == new
    assert from_dict(new) == BaseConfig()


def test_every_line_of_the_template_is_short_and_explained():
    for line in template_text().splitlines():
        assert len(line) <= 110
        name = line.strip().partition(":")[0]
        if line.startswith("  ") and line[2].isalpha():
            assert "  # " in line, name


def test_files_equal_the_dataclasses():
    """After a change of a field: `python -m britekit.config template > yaml/base_config.yaml` and so on."""
    assert (ROOT / "docs/reference/settings.md").read_text() == reference_text()
    assert (ROOT / "yaml/base_config.yaml").read_text() == template_text()


def test_params_file_equals_the_dataclasses():
    """As committed (`python -m britekit.config demo > params.yaml`).

    An experiment (`dvc exp run -S`) may have changed values in the working tree.
    """
    git = ["git", "-C", str(ROOT), "diff", "--quiet", "HEAD", "--", "params.yaml"]
    if subprocess.run(git, check=False).returncode == 1:
        from_dict(yaml.safe_load((ROOT / "params.yaml").read_text()))
    else:
        assert (ROOT / "params.yaml").read_text() == template_text(DEMO)


def test_reference_names_every_field_and_augmentation():
    page = reference_text()
    for section in SECTIONS.values():
        for name in declared(section):
            assert f"| `{name}` |" in page
    for name in KNOWN:
        assert f"| {name} |" in page


@pytest.mark.parametrize(
    "value",
    [None, True, 1, 1.5, 1e-6, 1e22, -3e-9, "a b", "no", "NO", "it's", "1e-3", "", "a: b", [1, "x y"], {"a": 1.0}],
)
def test_values_survive_being_written(value):
    assert yaml.safe_load(yaml_text(value)) == value
    assert ruamel.yaml.YAML(typ="safe", pure=True).load(yaml_text(value)) == value


SAMPLES = sorted((ROOT / "yaml/samples").glob("*.yaml"))
TUNING = [path for path in SAMPLES if path.stem.startswith("tune_")]


def test_the_samples_are_those_that_were_promised():
    promised = (
        "cfg_infer train_dla train_effnet train_gernet train_hgnet train_timm train_vovnet tune_dropout "
        "tune_learning_rate tune_optimizer tune_smooth"
    )
    assert set(promised.split()) <= {path.stem for path in SAMPLES}


@pytest.mark.parametrize("sample", TUNING, ids=lambda path: path.stem)
def test_tuning_samples_vary_settings_within_their_range(sample):
    """The form of formats.md, section 11; every value, also the last, is one the settings accept."""
    from timm.optim import list_optimizers

    entries = yaml.safe_load(sample.read_text())
    assert len({entry["name"] for entry in entries}) == len(entries) > 0
    for entry in entries:
        if entry["type"] == "categorical":
            values = entry["choices"]
            assert entry["name"] != "optimizer" or set(values) <= set(list_optimizers())
        else:
            (low, high), step = entry["bounds"], entry["step"]
            assert low < high and step > 0
            assert (high - low) / step == pytest.approx(round((high - low) / step)), "the last is reached"
            values = [low, high]
        for value in values:
            from_dict({"train": {entry["name"]: value}})


@pytest.mark.parametrize("sample", [p for p in SAMPLES if p not in TUNING], ids=lambda path: path.stem)
def test_samples_are_accepted(sample, caplog):
    resolve(sample)
    assert not caplog.records


def test_parameter_names_are_unique():
    """The tuner addresses parameters by their bare names, beside those of train, audio and infer."""
    names = [param for known in KNOWN.values() for param in known.params] + list(KNOWN)
    names += [name for key in ("train", "audio", "infer") for name in declared(SECTIONS[key])]
    assert len(names) == len(set(names))
