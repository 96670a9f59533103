"""`init --ci`: the steps of both workflows, run here on a project with one quick stage; a script stands in for gh."""

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs

import pytest
import yaml

import britekit
from britekit import commands
from britekit.errors import InputError
from britekit.project.layout import WORKFLOWS, workflow_files
from britekit.project.markdown import markdown_report
from tests.test_exp import CELLS, STAGE
from tests.test_summary import FIGURES

pytestmark = pytest.mark.xdist_group("ci")  # the workers share one project
ROOT = Path(__file__).parent.parent
CURVE = "precision,recall\n0.5,1\n0.75,0.52\n1,0.21\n"
MORE = f"""
import json
Path("results/test/figures.json").write_text({json.dumps(FIGURES)!r})
Path("results/test/pr_curve_annotated.csv").write_text({CURVE!r})
"""


def run(*command, **environment):
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


GIT = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
ENVIRONMENT = GIT | {
    "DVC_NO_ANALYTICS": "true",
    "PYTHONPATH": str(ROOT),
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
}
BUILD = """
cd "$0"
git init -q -b main; python -m dvc init -q; python -m dvc remote add -q -d store "$1"
python -m dvc repro -q; git add -A; git commit -qm One
sed -i 's/1.0/3.0/' params.yaml; python -m dvc repro -q; git add -A; git commit -qm Two; python -m dvc push -q -A
"""


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """A project in which two results are committed, and pushed to a remote."""
    folder = tmp_path_factory.mktemp("ci")
    first = folder / "first"
    first.mkdir()
    (first / "make.py").write_text(STAGE + MORE)
    (first / "params.yaml").write_text("skill: 1.0\n")
    stage = {"cmd": "python make.py", "deps": ["make.py"], "params": ["skill"], "outs": ["results/test"]}
    (first / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"test": stage}}))
    for name, text in (workflow_files("github") | workflow_files("gitlab")).items():
        (first / name).parent.mkdir(parents=True, exist_ok=True)
        (first / name).write_text(text)
    done = run("bash", "-ec", BUILD, str(first), str(folder / "remote"), **ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    return first


@pytest.fixture
def project(origin, tmp_path, monkeypatch):
    """A clone of it, without data, and a script that stands in for gh."""
    fakes = tmp_path / "bin"
    fakes.mkdir()
    (fakes / "gh").write_text('#!/bin/sh\necho "$GH_TOKEN" "$@" > "$GH_LOG"\n')
    (fakes / "gh").chmod(0o755)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", os.pathsep.join([str(fakes), ENVIRONMENT["PATH"]]))
    monkeypatch.setenv("GH_LOG", str(tmp_path / "gh.log"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    clone = tmp_path / "clone"
    assert run("git", "clone", "-q", str(origin), str(clone)).returncode == 0
    monkeypatch.chdir(clone)
    return clone


def steps(service, job, *options, skip="Install"):
    return run(sys.executable, str(ROOT / "scripts/run_workflow.py"), WORKFLOWS[service], job, "--skip", skip, *options)


GITHUB = [
    "--set", "github.event.pull_request.base.sha=HEAD~1", "--set", "github.token=secret",
    "--set", "github.event.pull_request.number=7", "--set", "github.repository=a/b",
    "--set", "github.event.pull_request.head.repo.full_name=a/b",
]  # fmt: skip


def test_github_checks_and_comments(project, tmp_path):
    done = steps("github", "check", *GITHUB, "--skip", "plan", "--set", "vars.RUN_PIPELINE=true")
    assert done.returncode == 0, done.stderr + done.stdout
    report = Path("report.md").read_text()
    assert (tmp_path / "step.md").read_text() == report
    assert (
        tmp_path / "gh.log"
    ).read_text() == "secret pr comment 7 --edit-last --create-if-none --body-file report.md\n"
    assert "**B is better than A: macro PR-AUC +0." in report and "12 recordings" in report
    assert "Run the pipeline" in done.stdout and "Check that dvc.lock" not in done.stdout


def test_github_refuses_results_that_are_out_of_date(project, tmp_path):
    fork = [option.replace("full_name=a/b", "full_name=x/b") for option in GITHUB]
    assert steps("github", "check", *fork).returncode == 0
    assert not (tmp_path / "gh.log").exists(), "a fork may not write comments"
    Path("params.yaml").write_text("skill: 9.0\n")
    done = steps("github", "check", *GITHUB)
    assert done.returncode == 1 and "stages are out of date; run dvc repro" in done.stdout


def test_gitlab_checks_and_comments(project):
    posted = []

    class Notes(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            posted.append((self.path, self.headers["PRIVATE-TOKEN"], parse_qs(body)["body"][0]))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Notes)
    Thread(target=server.serve_forever, daemon=True).start()
    options = [
        f"CI_API_V4_URL=http://127.0.0.1:{server.server_port}/api/v4", "CI_PROJECT_ID=3", "CI_MERGE_REQUEST_IID=5",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA=HEAD~1", "COMMENT_TOKEN=secret",
    ]  # fmt: skip
    options = [word for option in options for word in ("--set", option)]
    done = steps("gitlab", "check", *options, skip="pip install")
    server.shutdown()
    assert done.returncode == 0, done.stderr + done.stdout
    assert "secret" not in done.stdout + done.stderr
    assert posted == [("/api/v4/projects/3/merge_requests/5/notes", "secret", Path("report.md").read_text())]
    Path("params.yaml").write_text("skill: 9.0\n")
    done = steps("gitlab", "check", *options, skip="pip install")
    assert done.returncode == 1 and "stages are out of date" in done.stderr


def test_the_report_in_markdown(project, capsys):
    assert run("python", "-m", "dvc", "pull", "-q").returncode == 0
    commands.summary("report.md", "HEAD~1")
    report = Path("report.md").read_text()
    assert "results/test/report.html" not in report and "next =" not in report, "places of another machine"
    assert report.count("\n| figure | base |") == 1 and "<details><summary>3 classes</summary>" in report
    # By hand: the best precision at a recall of at least 0, 0.05, ... 0.20 is 1; to 0.50 it is 0.75; then 0.5.
    assert f"line [{', '.join(['1.000'] * 5 + ['0.750'] * 6 + ['0.500'] * 10)}]" in report
    assert "x-axis" in report and "```mermaid" in report
    lone = markdown_report(Path.cwd(), "HEAD~9")
    assert "There is no comparison with the base: " in lone and "is neither a folder" in lone
    with pytest.raises(InputError, match="--base is for the report of --markdown"):
        commands.summary(base="HEAD")
    Path(CELLS).unlink()
    assert "There is no comparison" in markdown_report(Path.cwd(), "HEAD~1")


def test_names_are_text():
    """A class named like Markdown or HTML must not become either."""
    from britekit.project.markdown import _escaped

    assert _escaped("<b>|@all *x*") == "&lt;b&gt;\\|&#64;all \\*x\\*"


@pytest.mark.parametrize("service", sorted(WORKFLOWS))
def test_workflows_are_written_and_valid(service, tmp_path):
    commands.init(str(tmp_path / "owls"), ci=service)
    file = tmp_path / "owls" / WORKFLOWS[service]
    schema = {"github": "vendor.github-workflows", "gitlab": "vendor.gitlab-ci"}[service]
    scripts = Path(sys.executable).parent
    done = run(str(scripts / "check-jsonschema"), "--builtin-schema", schema, str(file))
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "owls/ci/requirements.txt").read_text().endswith(f"britekit=={britekit.__version__}\n")
    if service == "github":
        done = run(str(scripts / "zizmor"), "--offline", "--no-progress", str(file))
        assert done.returncode == 0, done.stdout + done.stderr
