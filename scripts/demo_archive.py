"""`make demo-archive`: what an archive without labels is for, on synthesized recordings.

In a project of its own, build/demo-archive: trains on clips of six species, tests on soundscapes of sites that no one
heard, lets a student learn from the soundscapes of further sites without labels (one round), compares both, and
searches the archive for a call.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rich.console import Console

from britekit.files import write_text
from britekit.project.layout import STUDENTS, has_commit, lay_out, students_text

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "build/demo-archive"
SPECIES = ("Silver Triller", "Rising Whistler", "Hollow Crow", "Copper Triller", "Falling Whistler", "Log Drummer")
SETTINGS = {"seeds": "[1]", "num_epochs": "8", "spec_height": "64", "spec_width": "256"}
console = Console()


def main() -> int:
    """Make the project, run the pipeline without and with the archive, and search it."""
    if not (PROJECT / ".git").exists() or not has_commit(PROJECT):
        make_project()
    steps = [
        ("Without the archive", ["dvc", "repro"]),
        ("", ["git", "add", "."]),
        ("", ["git", *PERSON, "commit", "--quiet", "--allow-empty", "-m", "Without the archive"]),
        ("Archive -> pseudo-labels -> student", ["britekit", "exp", "pipeline.rounds=1"]),
        (
            "Archive -> vectors",
            ["britekit", "embed", "-i", "data/unlabelled", "--archive", "archive", "--model", MODEL],
        ),
        ("Vectors -> what sounds like a clip", ["britekit", "find", "--archive", "archive", "-i", CALL, "-o", "found"]),
    ]
    for title, command in steps:
        if title:
            console.print(f"\n[bold]{title}[/bold]: {' '.join(command)}", highlight=False, soft_wrap=True)
        program = command if command[0] == "git" else [sys.executable, "-m", *command]
        if subprocess.run(program, cwd=PROJECT, check=False).returncode:
            print(f"Error: {' '.join(command)} failed in {PROJECT}; run make demo-archive again", file=sys.stderr)
            return 1
    console.print(
        f"\n[bold]Next[/bold]\n  cd {PROJECT.relative_to(ROOT)}\n"
        "  britekit review -i data/unlabelled --queue found/queue.csv   judge what was found; verdicts train too\n"
        "  britekit exp pipeline.rounds=2                               let a second student learn from the first",
        highlight=False,
        soft_wrap=True,
    )
    return 0


PERSON = ("-c", "user.name=demo", "-c", "user.email=demo@localhost")
ARCHIVE = "data/unlabelled"
MODEL = "models/rounds/1/seed-1.ckpt"
CALL = "data/recordings/Hollow Crow/HOCR-0001.flac"


def make_project() -> None:
    """Lay out the project with its sources and settings, and commit it."""
    PROJECT.mkdir(parents=True, exist_ok=True)
    # A repository of its own: Git ignores build/, and DVC refuses an ignored folder.
    subprocess.run(["git", "init", "--quiet"], cwd=PROJECT, check=True)
    lay_out(PROJECT)
    write_text(PROJECT / STUDENTS, students_text(1))
    rows = [f"{name},sample,{name},20,train" for name in (*SPECIES, "Noise")]
    rows += ["*,sample,sites,20,test", "*,sample,*,40,unlabelled"]
    (PROJECT / "data/sources.csv").write_text("class,source,query,limit,split\n" + "\n".join(rows) + "\n")
    params = PROJECT / "params.yaml"
    lines = params.read_text(encoding="utf-8").splitlines()
    lines = [f"  {name}: {SETTINGS[name]}" if (name := x.strip().split(":")[0]) in SETTINGS else x for x in lines]
    params.write_text("\n".join(lines) + "\n", encoding="utf-8")
    subprocess.run(["git", "add", "."], cwd=PROJECT, check=True)
    subprocess.run(["git", *PERSON, "commit", "--quiet", "-m", "Begin"], cwd=PROJECT, check=True)


if __name__ == "__main__":
    sys.exit(main())
