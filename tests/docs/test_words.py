"""Phrases that docs/development/words.md rules out do not come back: in docstrings, comments, messages, pages."""

import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Phrase to what to write; each is a regular expression.
BANNED = {
    r"\banew\b|\bafresh\b": "again, rebuild, start over",
    r"\bwhoever\b|\bnobody\b|\bsomebody\b": "the caller, the user, another process",
    r"(?<!there )(?<!There )\b(?:is|are) no (?!(?:longer|more|larger|lower|higher|way|other)\b)": "is not a valid ...",
    r"\b(?:is|are|was|were) told\b": "report, warn, pass",
    r"\bof old\b(?! (?:checkpoints|models|label))": "old, previous",
    r"\blets? go of\b": "close, release, delete",
    r"\bpass(?:es|ed)? over\b(?! (?:the data|them, one))": "ignore, skip",
    r"\bbears\b": "has, contains",
    r"^[rR]?\"\"\"(?:What|Tell|Say) ": "docstrings begin with a verb such as Return, or name the thing",
    r"\bcannot be had\b|\bat hand\b": "is unavailable, is available",
    r"\btells? whether\b": "returns whether",
    r"\ba hair\b": "slightly",
}
# Pages that quote what to avoid, or are generated from the code.
EXEMPT = {"docs/development/words.md", "docs/development/adding.md"}


def prose(path: Path) -> list[tuple[int, str]]:
    """Return strings and comments of a module, or the lines of a page outside of code blocks, each with its line."""
    if path.suffix == ".md":
        lines, fenced = [], False
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            fenced ^= line.lstrip().startswith("```")
            lines.append((number, "" if fenced else line))
        return lines
    with open(path, "rb") as file:
        tokens = list(tokenize.tokenize(file.readline))
    return [(t.start[0], t.string) for t in tokens if t.type in (tokenize.STRING, tokenize.COMMENT)]


PAGES = [p for p in sorted((ROOT / "docs").rglob("*.md")) if "reference" not in p.parts]
FILES = [p for p in [*sorted((ROOT / "britekit").rglob("*.py")), *PAGES] if str(p.relative_to(ROOT)) not in EXEMPT]


@pytest.mark.parametrize("phrase", BANNED, ids=range(len(BANNED)))
def test_ruled_out_phrases_do_not_come_back(phrase):
    pattern = re.compile(phrase)
    found = []
    for path in FILES:
        for line, text in TEXTS[path]:
            flat = " ".join(text.split())
            if match := pattern.search(flat):
                around = flat[max(0, match.start() - 40) : match.end() + 30]
                found.append(f"{path.relative_to(ROOT)}:{line}: ...{around}...")
    assert not found, f"write {BANNED[phrase]} instead:\n" + "\n".join(found)


TEXTS = {path: prose(path) for path in FILES}


def test_the_check_finds_what_it_looks_for(tmp_path):
    (tmp_path / "x.py").write_text('"""What is\n\nread."""\nx = 1  # made anew\ny = f"{x} is no\\\n name"\n')
    texts = [" ".join(text.split()) for _, text in prose(tmp_path / "x.py")]
    assert [sum(bool(re.search(phrase, text)) for text in texts) for phrase in BANNED][:2] == [1, 0]
    assert re.search(list(BANNED)[8], texts[0]) and re.search(list(BANNED)[2], "a file is no table")


BRITISH = re.compile(
    r"(?<![\w`./-])(?:analys(?:e[ds]?|ing)|colour\w*|centre[ds]?|labell(?:ed|ing)|neighbour\w*|favour\w*|behaviour\w*|"
    r"(?:normal|recogn|summar|initial|local|maxim|minim|organ|synthes|standard|penal|serial|synchron)is(?:e[ds]?|ing|ation))"
    r"(?![\w`/])",
    re.IGNORECASE,
)


@pytest.mark.parametrize("folder", ["docs/explained", "docs/development"])
def test_pages_are_spelled_one_way(folder):
    found = []
    for path in sorted((ROOT / folder).glob("*.md")):
        for number, line in prose(path):
            words = BRITISH.findall(re.sub(r"`[^`]*`|\]\([^)]*\)", "", line))
            found += [f"{path.name}:{number}: {word}" for word in words]
    assert not found, "write as docs/development/words.md says:\n" + "\n".join(found)
