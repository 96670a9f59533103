"""Run the `run:` steps of one job of a CI workflow here, as GitHub or GitLab would, to try a workflow without either.

    python scripts/run_workflow.py .github/workflows/recognizer.yml check --set vars.RUN_PIPELINE=true --skip Install
    python scripts/run_workflow.py .gitlab-ci.yml check --skip "pip install"

Steps that use an action are printed and not run. `--set` gives values of expressions (`github.token=x`) and, for
GitLab, variables. `--skip` leaves out the steps whose name or command contains a text.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")


def main() -> int:
    """Run the steps in the current folder; return the exit code of the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("job")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--skip", action="append", default=[], metavar="TEXT")
    given = parser.parse_args()
    values = dict(pair.split("=", 1) for pair in given.set)
    workflow = yaml.safe_load(Path(given.file).read_text(encoding="utf-8"))
    steps = (
        github_steps(workflow, given.job, values) if "jobs" in workflow else gitlab_steps(workflow, given.job, values)
    )
    for name, command, environment in steps:
        if any(text in name or text in (command or "") for text in given.skip):
            print(f"== {name}: left out by --skip", flush=True)
            continue
        if command is None:
            print(f"== {name}: not a command, not run here", flush=True)
            continue
        print(f"== {name}", flush=True)
        code = subprocess.run(["bash", "-e", "-c", command], env=os.environ | environment, check=False).returncode
        if code:
            print(f"Error: the step {name!r} failed with exit code {code}", file=sys.stderr)
            return code
    return 0


def github_steps(
    workflow: Mapping[str, object], job: str, values: Mapping[str, str]
) -> Iterator[tuple[str, str | None, dict[str, str]]]:
    """Yield name, command (None for an action) and environment of each step whose condition holds."""
    body = workflow["jobs"][job]
    for step in body["steps"]:
        name = step.get("name") or step.get("run", step.get("uses", "")).splitlines()[0]
        if "if" in step and not _holds(step["if"], values):
            continue
        environment: dict[str, str] = {}
        for level in (workflow, body, step):
            environment |= {key: _filled(str(text), values) for key, text in level.get("env", {}).items()}
        yield name, step.get("run"), environment


def gitlab_steps(
    workflow: Mapping[str, object], job: str, values: Mapping[str, str]
) -> Iterator[tuple[str, str | None, dict[str, str]]]:
    """Yield first line, command and environment of each entry of a job. Variables set by one do not reach the next."""
    environment = {key: str(text) for key, text in workflow.get("variables", {}).items()} | dict(values)
    body = workflow[job]
    for line in [*body.get("before_script", []), *body["script"]]:
        yield line.splitlines()[0], line, environment


def _holds(condition: str, values: Mapping[str, str]) -> bool:
    left, operator, right = re.split(r"\s*(==|!=)\s*", condition)
    return (_value(left, values) == _value(right, values)) == (operator == "==")


def _value(text: str, values: Mapping[str, str]) -> str:
    return text[1:-1] if text.startswith("'") else values.get(text, "")


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _EXPRESSION.sub(lambda found: _value(found[1], values), text)


if __name__ == "__main__":
    sys.exit(main())
