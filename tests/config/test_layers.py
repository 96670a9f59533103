"""Precedence of the layers, and what a file with mistakes is told."""

import importlib
from pathlib import Path

import pytest

import britekit
from britekit.config import BaseConfig, from_dict, resolve, to_dict, to_shown_dict
from britekit.config.layers import forget_config
from britekit.config.model_names import backbone_families, wrong_model
from britekit.errors import ConfigError


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    forget_config()
    yield tmp_path
    forget_config()


def write(path, text):
    path.write_text(text)
    return path


def problems_of(text, tmp_path):
    with pytest.raises(ConfigError) as caught:
        resolve(write(tmp_path / "c.yaml", text))
    return list(caught.value.problems)


def test_defaults_alone():
    assert resolve() == BaseConfig()


def test_each_layer_stands_over_the_one_below(tmp_path):
    keys = ["params", "python", "stored", "file", "option"]
    text = "audio: {min_freq: 1, max_freq: 7001, power: 1.1, db_power: 1.1, top_db: 71}"
    write(tmp_path / "params.yaml", text)
    cfg = britekit.get_config()
    cfg.audio.max_freq, cfg.audio.power, cfg.audio.db_power, cfg.audio.top_db = 7002, 1.2, 1.2, 72
    stored = {"audio": {"power": 1.3, "db_power": 1.3, "top_db": 73.0}, "train": {"sed_fps": 8, "seed": 5}}
    file = write(tmp_path / "c.yaml", "audio: {db_power: 1.4, top_db: 74}")
    merged = resolve(file, {"audio.top_db": 75, "infer.overlap": None}, stored)
    audio = merged.audio
    values = [audio.min_freq, audio.max_freq, audio.power, audio.db_power, audio.top_db]
    assert values == [1, 7002, 1.3, 1.4, 75.0], keys
    assert merged.train.sed_fps == 8
    assert merged.train.seed is None  # of a checkpoint, only audio and sed_fps concern inference


def test_python_assignments_last_and_files_do_not(tmp_path):
    cfg = britekit.get_config()
    cfg.train.augmentations[0].prob = 0.9  # in place, not by assignment
    cfg.infer.min_score = 0.8  # the default, on purpose
    write(tmp_path / "params.yaml", "infer: {min_score: 0.1}")
    file = write(tmp_path / "c.yaml", "infer: {overlap: 1}")
    assert resolve(file).infer.overlap == 1.0
    later = resolve()
    assert later.infer.overlap == 0.0
    assert later.infer.min_score == 0.8
    assert later.train.augmentations[0].prob == 0.9
    later.infer.min_score = 0.3
    assert britekit.get_config().infer.min_score == 0.8


def test_get_config_with_a_file_changes_the_process(tmp_path):
    assert britekit.get_config(write(tmp_path / "c.yaml", "train: {num_epochs: 3}")).train.num_epochs == 3
    assert resolve().train.num_epochs == 3
    with pytest.raises(ConfigError):
        britekit.get_config(write(tmp_path / "bad.yaml", "train: {num_epochs: 4, batch_size: 0}"))
    assert britekit.get_config().train.num_epochs == 3


def test_assignments_are_checked():
    cfg = britekit.get_config()
    with pytest.raises(ConfigError, match='train.model_typ: unknown field; did you mean "model_type"'):
        cfg.train.model_typ = "effnet.4"
    with pytest.raises(ConfigError, match="train.num_epochs"):
        cfg.train.num_epochs = "ten"
    with pytest.raises(ConfigError, match="unknown section"):
        cfg.trian = cfg.train
    with pytest.raises(AttributeError, match="did you mean"):
        _ = cfg.train.model_typ
    cfg.audio.power = 2
    assert isinstance(cfg.audio.power, float)
    cfg.misc.exclude_list = "a.txt"
    assert cfg.misc.ignore_file == cfg.misc.exclude_list == "a.txt"


def test_all_problems_of_a_file_at_once(tmp_path):
    found = problems_of(
        "audio:\n  spec_widht: 480\n  max_frequency: 9000\n  overlap: 1\n  spec_height: '128'\n"
        "infer:\n  min_score: 1.5\n  label_field: code\n  segment_len: .inf\ntrian:\n  seed: 1\n"
        "train:\n  seed: null\n  min_steps: null\n  augment: yes\n  batch_size: 2.5\nmin_score: 0.5\n",
        tmp_path,
    )
    expected = [
        ':2: audio.spec_widht: unknown field; did you mean "spec_width"?',
        ':3: audio.max_frequency: unknown field; it is called "max_freq"',
        ":4: audio.overlap: unknown field; it belongs in infer",
        ':5: audio.spec_height: "128" is not a whole number (>= 16); remove the quotes',
        ":7: infer.min_score: 1.5 is out of range; a number (0 to 1) is expected",
        ':8: infer.label_field: "code" is not one of names, codes, alt_names, alt_codes; did you mean "codes"?',
        ":9: infer.segment_len: inf is not a finite number",
        ':10: trian: unknown section; did you mean "train"?',
        ":14: train.min_steps: null is not allowed; a whole number (>= 1) is expected",
        ':15: train.augment: "yes" is not true or false; write true or false',
        ":16: train.batch_size: 2.5 is not a whole number (>= 1)",
        ":17: min_score: unknown section; it is a field of infer and belongs below it",
    ]
    assert found == [f"{tmp_path / 'c.yaml'}{line}" for line in expected]


def test_contradictions_blame_the_line_that_made_them(tmp_path):
    write(tmp_path / "params.yaml", "audio:\n  max_freq: 8000\n")
    found = problems_of("infer:\n  overlap: 7\naudio:\n  sampling_rate: 12000\n", tmp_path)
    assert found[0].startswith("params.yaml:2: audio.max_freq: 8000 Hz is above half of sampling_rate")
    assert found[1].startswith(f"{tmp_path / 'c.yaml'}:2: infer.overlap: 7 s is not less than")


def test_foreign_sections_of_params_are_left_alone(tmp_path, caplog):
    write(tmp_path / "params.yaml", "deploy: {port: 80}\nauido: {power: 2}\n")
    assert resolve() == BaseConfig()
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "params.yaml:1: section deploy is not ours and left alone",
        'params.yaml:2: section auido is not ours and left alone; did you mean "audio"?',
    ]
    assert "unknown section" in problems_of("deploy: {port: 80}", tmp_path)[0]


def test_unknown_field_in_params_fails(tmp_path):
    write(tmp_path / "params.yaml", "audio: {powr: 2}\n")
    with pytest.raises(ConfigError, match='params.yaml:1: audio.powr: unknown field; did you mean "power"'):
        resolve()


def test_augmentations_are_merged_by_name(tmp_path):
    text = "train:\n  augmentations:\n    - {name: shift_horizontal, params: {max_shift: 3}}\n"
    text += "    - {name: add_real_noise, prob: 1, params: {max_fade2: 0.9}}\n"
    merged = resolve(write(tmp_path / "c.yaml", text)).train.augmentations
    assert [entry.name for entry in merged] == [entry.name for entry in BaseConfig().train.augmentations]
    by_name = {entry.name: entry for entry in merged}
    assert (by_name["shift_horizontal"].prob, by_name["shift_horizontal"].params) == (0.6, {"max_shift": 3})
    assert by_name["add_real_noise"].prob == 1.0
    assert by_name["add_real_noise"].params == {"prob_fade2": 0.5, "min_fade2": 0.2, "max_fade2": 0.9}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{name: freqmask, prob: 1}", 'augmentation "freqmask" is unknown; did you mean "freq_mask"?'),
        ("{name: freq_mask, prob: 2}", "freq_mask: prob 2 is out of range"),
        ("{name: freq_mask, params: {max_width2: 2}}", '"max_width2"; it belongs to time_mask'),
        ("{name: freq_mask, max_width1: 2}", "freq_mask: max_width1 belongs under params"),
        ("{name: freq_mask, chance: 2}", 'freq_mask: unknown key "chance"'),
        ("{prob: 1}", "entry 1: a map with a name is expected"),
        ("{name: freq_mask, params: {max_width1: 500}}", "max_width1 500 is more than audio.spec_height, 128"),
        ("{name: blur, params: {min_sigma: 3}}", "blur: min_sigma 3 is above max_sigma 1"),
        ("{name: blur}, {name: blur}", 'augmentation "blur" appears twice'),
    ],
)
def test_wrong_augmentations(tmp_path, entry, expected):
    found = problems_of(f"train:\n  augmentations: [{entry}]\n", tmp_path)
    assert len(found) == 1
    assert expected in found[0]
    assert found[0].startswith(f"{tmp_path / 'c.yaml'}:2: train.augmentations")


def test_a_checkpoints_shape_cannot_be_overridden(tmp_path, caplog):
    stored = {"audio": {"spec_width": 384, "min_freq": 200, "of_a_later_version": 1}, "train": {"sed_fps": 4}}
    same = write(tmp_path / "same.yaml", "audio: {spec_width: 384, min_freq: 300}")
    assert resolve(same, stored=stored).audio.min_freq == 300
    assert [record.getMessage() for record in caplog.records] == [
        f"{same}:1: audio.min_freq: 300 is used instead of the checkpoint's 200"
    ]
    with pytest.raises(ConfigError, match="spec_width: 480 disagrees with the checkpoint, which needs 384"):
        resolve(write(tmp_path / "other.yaml", "audio: {spec_width: 480}"), stored=stored)


def test_overrides_are_checked():
    with pytest.raises(ConfigError, match="infer.min_score: 3 is out of range"):
        resolve(overrides={"infer.min_score": 3})
    with pytest.raises(ConfigError, match='did you mean "min_score"'):
        resolve(overrides={"infer.min_scor": 0.3})


def test_plain_form_and_back():
    cfg = BaseConfig()
    cfg.train.augmentations[4].prob = 0.25
    cfg.misc.map_codes = {"NO": "YES"}
    assert from_dict(to_dict(cfg)) == cfg
    with pytest.raises(ConfigError, match="x.ckpt: audio.nope: unknown field"):
        from_dict({"audio": {"nope": 1}}, "x.ckpt")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://me:hunter2@host/birds", "postgresql+psycopg://me:***@host/birds"),
        ("postgresql://:a/b@c:d@host:5432/birds", "postgresql://:***@host:5432/birds"),
        ("postgresql://host/birds?user=me&password=hunter2&x=1", "postgresql://host/birds?user=me&password=***&x=1"),
        ("postgresql://me@host:5432/birds", "postgresql://me@host:5432/birds"),
        ("data/training.db", "data/training.db"),
    ],
)  # fmt: skip
def test_what_others_see_holds_no_password(url, shown):
    cfg = BaseConfig()
    cfg.train.train_db = url
    assert to_shown_dict(cfg) == to_dict(cfg) | {"train": to_dict(cfg)["train"] | {"train_db": shown}}
    assert cfg.train.train_db == url


def test_files_that_hold_no_map(tmp_path):
    assert "is not a map of sections" in problems_of("- 1\n", tmp_path)[0]
    assert "audio: 5 is not a map of fields" in problems_of("audio: 5\n", tmp_path)[0]
    assert resolve(write(tmp_path / "e.yaml", "audio:\n")) == BaseConfig()


def test_a_directory_called_params_is_not_passed_over(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="params.yaml: is a directory"):
        resolve()


@pytest.mark.parametrize(
    ("stored", "said"),
    [({"audio": {"power": -3}}, "audio.power: -3 is out of range"), ({"audio": 7}, "audio: 7 is not a map")],
)
def test_a_bad_setting_in_a_checkpoint_names_the_checkpoint(stored, said):
    with pytest.raises(ConfigError, match=f"^checkpoint models/a.ckpt: {said}"):
        resolve(stored=stored, stored_in="checkpoint models/a.ckpt")


def test_a_setting_that_only_public_britekit_has_is_explained(tmp_path, caplog):
    found = problems_of("infer: {seed: 1}\n", tmp_path)
    assert len(found) == 1 and ":1: infer.seed: a setting of public britekit" in found[0]
    assert "no longer" in found[0] and found[0].endswith("remove the line")
    text = "audio: {use_spec_cache: true, chunks_per_spec: 3}\ninfer: {openvino_block_size: 100}\n"
    (tmp_path / "c.yaml").write_text(text)
    assert resolve(tmp_path / "c.yaml") == resolve()
    for field in ("1: audio.use_spec_cache", "1: audio.chunks_per_spec", "2: infer.openvino_block_size"):
        assert f":{field} of public britekit has no effect here: " in caplog.text


def test_a_wrong_model_is_reported_with_all_other_faults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(
        "train:\n  model_type: effnet.99\n  head_type: basik\n  learning_rate: -1\n  num_epoch: 3\naudio: 5\n"
    )
    with pytest.raises(ConfigError) as caught:
        resolve()
    assert [problem.split(":")[1] for problem in caught.value.problems] == ["2", "3", "4", "5", "6"]
    assert "no known size" in caught.value.problems[0]
    assert 'did you mean "basic"?' in caught.value.problems[1]


def test_models_are_known_without_importing_them():
    """The sizes read from the text of a file are those that the file has."""
    for family in backbone_families():
        sizes = importlib.import_module(f"britekit.models.backbones.{family.replace('timm', 'timm_')}").SIZES
        for size in sizes or ["resnet18"]:
            assert wrong_model(f"{family}.{size}") == ""
        assert sizes is None or "no known size" in wrong_model(f"{family}.x")
    assert 'did you mean "effnet"?' in wrong_model("efnet.2")
