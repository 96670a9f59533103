"""The inner loop: tests that are fast, and those beside the files that differ from main; below a minute.

    python scripts/quick_tests.py [PYTEST OPTIONS]

The rest is for `make test`. Tests marked slow or soak are left out, and the number of files is printed.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FAST = ["metrics", "config", "annotations", "test_errors.py", "test_layers.py", "test_progress.py"]


def changed_files() -> list[Path]:
    """Return the files that differ from main or are new, relative to the repository."""
    commands = (["git", "diff", "--name-only", "main", "--"], ["git", "ls-files", "--others", "--exclude-standard"])
    names: set[str] = set()
    for command in commands:
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        names.update(found.stdout.splitlines())
    return sorted(map(Path, names))


def twin_of(path: Path) -> Path | None:
    """Return the test file of a source file, the file itself if it is one, or None."""
    if path.parts[0] == "tests":
        return path if path.name.startswith("test_") and (ROOT / path).exists() else None
    if path.parts[0] != "britekit" or path.suffix != ".py":
        return None
    twin = Path("tests", *path.parts[1:-1], f"test_{path.stem.removeprefix('_')}.py")
    return twin if (ROOT / twin).exists() else None


def main(options: list[str]) -> int:
    """Run the tests; return pytest's exit code."""
    twins = [twin for path in changed_files() if (twin := twin_of(path))]
    files = sorted({*(Path("tests", name) for name in FAST), *twins})
    print(f"{len(twins)} test files beside changed files, and {', '.join(FAST)}", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-m", "not slow and not soak", *options]
    return subprocess.run([*command, *map(str, files)], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
