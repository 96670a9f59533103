"""The reference pages are what the code says, and the guide names only what exists."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from britekit.cli import build_parser
from britekit.commands import command_names

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.parent.name != "reference")


def generator():
    spec = importlib.util.spec_from_file_location("make_references", DOCS / "make_references.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", generator().PAGES)
def test_page_is_current(name):
    """If not: `make docs`, and commit what it writes."""
    page = generator().PAGES[name]()
    assert (DOCS / "reference" / name).read_text(encoding="utf-8") == page, "out of date: type make docs"


def test_commands_page_names_every_command_and_option():
    """Counted from the parsers, not from the page's own generator."""
    page = (DOCS / "reference/commands.md").read_text(encoding="utf-8")
    for name in command_names():
        word = name.replace("_", "-")
        section = re.search(rf"^### {word}$(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
        assert section, word
        for flag in build_parser(name)._option_string_actions:
            assert flag in ("-h", "--help") or f"`{flag}`" in section[1], (word, flag)


def test_python_page_names_everything_public():
    import britekit

    page = (DOCS / "reference/python.md").read_text(encoding="utf-8")
    for name in [*britekit._HOMES, *(f"commands.{name}" for name in command_names())]:
        assert f"### bk.{name}\n" in page


def shell_lines(page: Path) -> list[str]:
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_britekit_lines_of_the_guide_parse(page):
    """The options of each line are accepted by the command's own parser."""
    for line in shell_lines(page):
        words = shlex.split(line)
        if words[:3] == ["python", "-m", "britekit"]:
            words = words[2:]
        if words[0] != "britekit" or words[1].startswith("--"):
            continue
        name = words[1].replace("-", "_")
        assert name in command_names(), line
        build_parser(name).parse_args(words[2:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_settings_and_files_named_in_the_guide_exist(page):
    from britekit.config.base import SECTIONS
    from britekit.config.fields import declared

    known = {f"{section}.{name}" for section, kind in SECTIONS.items() for name in declared(kind)}
    text = page.read_text(encoding="utf-8")
    for named in re.findall(rf"`((?:{'|'.join(SECTIONS)})\.[a-z_0-9]+)", text):
        assert named in known, named
    for path in re.findall(r"yaml/samples/\w+\.yaml|docker/\w[\w.]*|examples/esc10/\w+\.\w+", text):
        assert (ROOT / path.rstrip(".")).exists(), path
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target


def test_every_augmentation_and_picture_is_there():
    from britekit.datasets.augmentations.registry import augmentation_names

    page = (DOCS / "explained/augmentation.md").read_text(encoding="utf-8")
    for name in augmentation_names():
        assert f"augment-{name}.png" in page, name
    used = {name for path in PAGES for name in re.findall(r"pictures/([\w-]+\.png)", path.read_text("utf-8"))}
    assert used == {path.name for path in (DOCS / "pictures").glob("*.png")}
    assert sum(path.stat().st_size for path in (DOCS / "pictures").rglob("*")) < 4_000_000


def test_the_site_is_built_without_a_warning_and_asks_nobody(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = [path for path in tmp_path.rglob("*.html") if path.name != "404.html"]
    assert len(pages) == len(list(DOCS.rglob("*.md")))
    for path in pages:
        html = path.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe)\b[^>]*?\bsrc="?([^"\s>]+)', html)
        loaded += re.findall(r'<link\b[^>]*\brel="?(?:stylesheet|preconnect|icon)[^>]*', html)
        assert not [address for address in loaded if "//" in address.replace("https://www.w3.org", "")], path
