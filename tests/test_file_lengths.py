"""A file holds one idea, and fits in one reading."""

from pathlib import Path

BRITEKIT = Path(__file__).parents[1] / "britekit"


def test_no_file_is_longer_than_350_lines():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in BRITEKIT.rglob("*.py")}
    long = [f"{path.relative_to(BRITEKIT)}: {count}" for path, count in lines.items() if count > 350]
    assert len(lines) > 600 and not long, "split by ideas, under names that explain themselves: " + ", ".join(long)
