"""`britekit init`: a project like this repository's own root."""

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from britekit.cli import build_parser
from britekit.commands import init
from britekit.config import BaseConfig, from_dict, to_dict
from britekit.config.audio import AudioConfig
from britekit.config.layers import resolve
from britekit.config.presets import PRESETS
from britekit.config.profiles import profile, profile_names
from britekit.config.train import TrainConfig
from britekit.errors import InputError
from britekit.project.layout import lay_out, project_files

ROOT = Path(__file__).parents[1]
GIT = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


def git(folder, *arguments):
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=os.environ | GIT, capture_output=True, text=True, check=True
    ).stdout


# The repository is a project itself, but needs no lists of background clips.
@pytest.mark.parametrize("name", sorted(name for name in project_files() if "/curated/" not in name))
def test_the_repository_holds_the_same_files(name):
    if name == "params.yaml":
        pytest.skip("held equal by tests/config/test_template.py")
    assert (ROOT / name).read_text(encoding="utf-8") == project_files()[name]


def test_what_the_pipeline_needs_is_there():
    needed = "dvc.yaml params.yaml data/sources.csv data/classes.csv data/curation.csv data/ignore.txt .gitignore"
    assert set(needed.split()) | {".dvcignore", "yaml/base_config.yaml"} <= set(project_files())


@pytest.mark.parametrize("preset", [None, "few"])
@pytest.mark.parametrize("name", profile_names())
def test_a_profile_is_in_params_with_its_evidence(tmp_path, monkeypatch, caplog, name, preset):
    text = project_files(preset, name)["params.yaml"]
    settings, evidence = profile(name)
    head = " ".join(line.removeprefix("# ") for line in text.split("\n# Settings of this project")[0].split("\n"))
    assert evidence in head and evidence.startswith(("measured", "from literature, unmeasured"))
    assert all(len(line) <= 110 for line in text.split("\n# Settings of this project")[0].split("\n"))
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(text)
    cfg = resolve()
    assert not caplog.records, "advice against its own settings"
    assert all(
        getattr(getattr(cfg, key), field) == value for key, one in settings.items() for field, value in one.items()
    )
    assert cfg.train.prob_mixup == (0.5 if preset else TrainConfig().prob_mixup)
    if name == "birds":
        assert cfg.audio == AudioConfig()


def test_a_project_is_laid_out_once(tmp_path, monkeypatch):
    project = tmp_path / "my owls"
    done = lay_out(project)
    assert (done.copied, done.skipped) == (len(project_files()), 0)
    assert (project / ".dvc/config").exists() and (project / ".git").exists()
    assert git(project, "rev-list", "--all") == "", "nothing is committed"
    monkeypatch.chdir(project)
    assert resolve() == resolve(project / "params.yaml")
    stages = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list", "--name-only"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert [name for name in stages if "@" not in name] == [
        "collect", "extract", "pickle", "analyze", "calibrate", "rpt-test", "package",
    ]  # fmt: skip
    assert {"train@1", "train@2"} <= set(stages)

    (project / "params.yaml").write_text("mine: 1\n")
    done = lay_out(project)
    assert (done.copied, done.skipped) == (0, len(project_files()))
    assert (project / "params.yaml").read_text() == "mine: 1\n"
    assert lay_out(project, overwrite=True).copied == len(project_files())
    assert "mine: 1" not in (project / "params.yaml").read_text()


def test_inside_a_larger_repository(tmp_path):
    git(tmp_path, "init", "-q")
    lay_out(tmp_path / "birds")
    assert not (tmp_path / "birds/.git").exists()
    assert (tmp_path / "birds/.dvc/config").exists()


def test_places_and_programs_that_fail(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="could not be written"):
        lay_out(tmp_path / "file")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="git was not found"):
        lay_out(tmp_path / "project")


def test_outs_are_ignored_by_git_and_lists_are_not(tmp_path):
    lay_out(tmp_path)
    outs = "data/recordings/a.wav data/test/a.wav data/training.db data/training.pkl models/ckpt/seed-1.ckpt"
    outs += " results/labels/scores.csv models/b.bento logs/x wandb/x"
    kept = "dvc.yaml dvc.lock params.yaml data/sources.csv metrics/test.json models/calibration.yaml"
    kept += " data/curation.csv"
    for path in outs.split():
        assert git(tmp_path, "check-ignore", path).strip() == path
    for path in kept.split():
        result = subprocess.run(["git", "check-ignore", "-q", path], cwd=tmp_path, check=False)
        assert result.returncode == 1, path


def depends_on(setting):
    """Return the stages that DVC runs again when a setting changes."""
    found = []
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].items():
        stage = stage.get("do", stage)
        listed = setting in stage["params"] or setting.partition(".")[0] in stage["params"]
        if listed or any("${" + setting + "}" in text for text in [stage["cmd"], *stage["deps"]]):
            found.append(name)
    return found


# Those that a small pipeline without network does not read: tests/pipeline traces the rest.
@pytest.mark.parametrize(
    ("setting", "stages"),
    [
        ("misc.source_regexes", "extract"),
        ("misc.xeno_url", "collect"),
        ("misc.inat_url", "collect"),
        ("misc.youtube_url", "collect"),
        ("misc.audioset_url", "collect"),
        ("pipeline.granularity", "rpt-test"),
        ("pipeline.calibration_cutoff", "calibrate"),
    ],
)
def test_a_setting_runs_the_stages_again_that_read_it(setting, stages):
    assert depends_on(setting) == stages.split()


def test_the_database_of_hand_work_is_not_what_the_pipeline_rebuilds():
    """`train.train_db` may name a database of one's own, which DVC must neither delete nor overwrite."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name in ("extract", "pickle"):
        assert " -d data/training.db" in stages[name]["cmd"]


def test_init_says_what_is_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    init("my owls")
    out = capsys.readouterr().out
    assert "  cd 'my owls'\n" in out and "dvc repro" in out and "experiments need a first commit" in out
    git(tmp_path / "my owls", "add", ".")
    git(tmp_path / "my owls", "commit", "-qm", "Begin")
    init("my owls")
    assert "first commit" not in capsys.readouterr().out


def test_pages_of_plots_need_no_network(tmp_path):
    lay_out(tmp_path)
    for seed in (1, 2):
        path = tmp_path / f"results/curves/train-{seed}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("epoch,step,loss,lr\n0,10,0.7,0.1\n1,20,0.5,0.1\n")
    dvc = [sys.executable, "-m", "dvc", "plots", "show", "Training loss"]
    subprocess.run(dvc, cwd=tmp_path, check=False, capture_output=True)
    page = (tmp_path / "dvc_plots/index.html").read_text()
    assert "https://cdn" not in page and "<script src" not in page
    assert '"filename": "train-1.csv"' in page and '"filename": "train-2.csv"' in page and "loess" not in page
    configured = configparser.ConfigParser()
    configured.read(ROOT / ".dvc/config")
    ours = ROOT / ".dvc" / configured["plots"]["html_template"]
    assert ours.samefile(ROOT / "britekit/project/plots.html"), "this repository uses the page that init lays out"
    for plot in yaml.safe_load((tmp_path / "dvc.yaml").read_text())["plots"]:
        assert [options["template"] for options in plot.values()] == ["simple"], "DVC's default smooths"


@pytest.mark.parametrize("preset", [None, *PRESETS])
def test_a_preset_is_a_project_whose_settings_hold(preset):
    """Each value of a preset arrives in the settings; all others are the defaults."""
    cfg, plain = from_dict(yaml.safe_load(project_files(preset)["params.yaml"])), BaseConfig()
    for section, values in (PRESETS[preset] if preset else {}).items():
        for name, value in values.items():
            assert getattr(getattr(cfg, section), name) == value
            setattr(getattr(plain, section), name, value)
    assert to_dict(cfg) == to_dict(plain)


def test_init_takes_the_presets_there_are():
    given = next(a for a in build_parser("init")._actions if "--preset" in a.option_strings)
    assert list(given.choices) == list(PRESETS)
