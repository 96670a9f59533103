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


# Stems, not words; `licence`, `unlabelled` and `cancelled` are names that exist. "analyses" is also a noun.
BRITISH = re.compile(
    r"(?<![\w`./-])(?:analys(?:e|ed|ing|er)|colour\w*|(?:un|re)?label(?:led|ling|ler)|learnt|spelt|catalogue\w*|grey\w*|"
    r"cent(?:re|res|red|ring)|(?:neighb|fav|behavi|hon|flav|harb|lab)our\w*|modell(?:ed|ing)|kilometres?|artefacts?|"
    r"(?:(?:un)?normal|recogn|summar|initial|local|maxim|minim|organ|synthes|standard|penal|serial|synchron|optim|general|quant|"
    r"random|regular|visual|util|categor|character|emphas|memor|equal|stabil)is(?:e[ds]?|ing|ations?))(?![\w`/])",
    re.IGNORECASE,
)
NAMES = re.compile(
    r"""``?[^`]+``?|\]\([^)]*\)|(["'])[\w.-]+\1|[\w.-]*/[\w./-]+|"""
    r"""split unlabelled|or unlabelled\b|["',][\w,]*(?:unlabelled|colour)\b"""
)
CODE = [p for part in ("britekit", "tests", "benchmarks", "scripts") for p in (ROOT / part).rglob("*.py")]
SPELLED = [
    p for p in [*CODE, *PAGES, ROOT / "README.md", ROOT / "CHANGELOG.md"] if p.name not in ("words.md", "test_words.py")
]


def test_one_spelling():
    found, fine = [], set()
    for path in SPELLED:
        words = set(re.findall("[A-Za-z]+", path.read_text(encoding="utf-8"))) - fine
        fine |= {word for word in words if not BRITISH.fullmatch(word)}
        if words - fine:  # splitting a module into tokens is slow
            for number, line in TEXTS.get(path) or prose(path):
                found += [f"{path.relative_to(ROOT)}:{number}: {word}" for word in BRITISH.findall(NAMES.sub("", line))]
    assert not found, "write as docs/development/words.md says:\n" + "\n".join(found)


def test_the_spelling_check_finds_what_it_looks_for():
    text = "Normalised colours of neighbours, unlabelled `labelled` recordings, analyses labeled behaviour, a center"
    assert BRITISH.findall(NAMES.sub("", text)) == ["Normalised", "colours", "neighbours", "unlabelled", "behaviour"]
