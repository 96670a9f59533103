"""The command line: help, options, mistakes, exit codes."""

import errno
import functools
import importlib
import inspect
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from britekit import __version__, cli
from britekit.cli import build_parser, help_text, main
from britekit.commands import command_names
from britekit.errors import ConfigError, InputError

COMMANDS = [pytest.param(name, id=name.replace("_", "-")) for name in command_names()]


@pytest.fixture
def command(monkeypatch):
    """Return a function that replaces what `britekit init` does."""
    module = importlib.import_module("britekit.commands.init")

    def replace(action):
        # As the real command to the parser, which reads its signature.
        monkeypatch.setattr(module, "init", functools.wraps(module.init)(lambda **options: action(options)))

    return replace


def run(*arguments, **more):
    command = [sys.executable, "-m", "britekit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **more)


def test_version_and_help(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"britekit {__version__}\n"
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    for name in command_names():
        assert re.search(rf"^  {name.replace('_', '-')} +\S", printed, re.MULTILINE), name
    assert max(map(len, printed.splitlines())) <= 80, "wider than a terminal"


def test_help_and_version_are_words_too(capsys):
    for words, flags in (
        (["help"], ["--help"]),
        (["version"], ["--version"]),
        (["help", "del-cat"], ["del-cat", "--help"]),
    ):
        assert main(words) == 0
        printed = capsys.readouterr().out
        assert main(flags) == 0
        assert printed and capsys.readouterr().out == printed


def test_synonyms_lead_to_commands():
    names = {name.replace("_", "-") for name in command_names()}
    assert set(cli.SYNONYMS.values()) <= names and not names & set(cli.SYNONYMS)


def test_underscores_are_accepted(command):
    parser = build_parser("analyze")
    assert parser.parse_args(["--min_score", "0.5", "--no_resume"]).min_score == 0.5
    assert parser.parse_args(["--min_score=0.25"]).min_score == 0.25


def test_options_are_documented_for_python_callers():
    """`help(bk.commands.analyze)` shows plain types and a Parameters section from the help texts."""
    from britekit import commands

    assert "min_score: Optional[float] = None" in str(inspect.signature(commands.analyze))
    assert "Annotated" not in str(inspect.signature(commands.analyze))
    doc = commands.analyze.__doc__
    assert doc.index("Parameters\n---") < doc.index("min_score\n    Lowest score") < doc.index("Returns\n---")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_terminal_but_for_examples(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    module = importlib.import_module(f"britekit.commands.{name}")
    text = build_parser(name).format_help()
    assert set(module.__doc__.split()) <= set(text.split())
    for line in text.partition("options:")[0].splitlines():
        assert len(line) <= 80 or line.startswith("    "), line


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_declared_whole(name):
    module = importlib.import_module(f"britekit.commands.{name}")
    first = module.__doc__.splitlines()[0]
    assert 10 <= len(first) <= 100 and first.endswith("."), "the first line is the summary"
    assert f"britekit {name.replace('_', '-')}" in module.__doc__, "the docstring ends with an example"
    parser = build_parser(name)
    required = {action.dest for action in parser._actions if action.required}
    for parameter in inspect.signature(getattr(module, name)).parameters.values():
        assert parameter.default is not parameter.empty or parameter.name in required, parameter.name
    for action in parser._actions:
        assert action.help, f"{action.dest}: no help"
        assert "_" not in "".join(action.option_strings), "flags are spelled with dashes"
    text = parser.format_help()
    assert "MISSING" not in text and "None)" not in text


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_of_two_words_has_both_spellings(name):
    parser = build_parser(name)
    for flag in parser._option_string_actions:
        if flag.startswith("--"):
            words = flag[2:]
            for spelling in ("--" + words.replace("-", "_"), "--" + words.replace("_", "-")):
                assert parser._respell(f"{spelling}=x").partition("=")[0] in parser._option_string_actions


def test_help_is_quick():
    """At most 0.12 s, which is what the older program needed; processor time, since others may be busy."""
    for arguments in (["--help"], ["train", "--help"]):
        used = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            assert run(*arguments).returncode == 0
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert min(used) <= 0.12, f"britekit {' '.join(arguments)}: {min(used):.3f} s"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "a command is missing"),
        (["trian"], 'unknown command "trian"; did you mean "train"?'),
        (["--versoin"], 'unknown option "--versoin"; did you mean "--version"?'),
        (["init", "--dst", "x"], 'unknown option "--dst"; did you mean "--dest"?'),
        (["rpt-test", "--annotatoins", "x"], 'unknown option "--annotatoins"; did you mean "--annotations"?'),
        (["analyze", "--min-scor", "0.5"], 'unknown option "--min-scor"; did you mean "--min-score"?'),
        (["detect"], 'unknown command "detect"; did you mean "analyze"?'),
        (["help", "trian"], 'unknown command "trian"; did you mean "train"?'),
        (["analyze", "--thrads=2"], 'unknown option "--thrads"; did you mean "--threads"?'),
        (["init", "extra"], 'unknown argument "extra"'),
        (["init", "--dest"], "expected one argument"),
        (["--print-completion", "elvish"], "bash, zsh, fish, tcsh"),
    ],
)
def test_wrong_usage_is_2(arguments, said, capsys):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert "Error: " in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


def test_options_reach_the_function(command):
    seen = []
    command(seen.append)
    assert main(["init", "--dest=a b", "--force", "--debug"]) == 0
    assert seen == [
        {"dest": "a b", "force": True, "ci": None, "preset": None, "profile": None, "rounds": None, "pretrain": False}
    ]


def test_command_names_take_underscores(capsys):
    if "extract_all" in command_names():
        assert main(["extract_all", "--help"]) == 0
        assert "usage: britekit extract-all" in capsys.readouterr().out


def raising(error):
    def action(options):
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (InputError("no recordings in x"), 1, ["Error: no recordings in x"]),
        (ConfigError("a.yaml:1: b", "a.yaml:2: c"), 1, ["Error: a.yaml:1: b", "Error: a.yaml:2: c"]),
        (OSError(errno.ENOSPC, "No space left", "x.db"), 1, ["Error: x.db: no space left"]),
        (PermissionError(errno.EACCES, "Permission denied", "out"), 1, ["Error: out: permission denied"]),
        (OSError(errno.EROFS, "Read-only file system"), 1, ["Error: read-only file system"]),
        (InputError("a\x1b[2J\tb\udcff is bad"), 1, ["Error: a\\x1b[2J\\tb\\udcff is bad"]),
        (InputError("a" * 5000 + " is bad"), 1, ["Error: " + "a" * 1593 + " [...] " + "a" * 393 + " is bad"]),
        (KeyboardInterrupt(), 130, ["Interrupted"]),
        (SystemExit(2), 2, []),
    ],
)
def test_failures_are_one_line_and_an_exit_code(command, capsys, error, code, lines):
    command(raising(error))
    assert main(["init"]) == code
    assert capsys.readouterr().err.splitlines() == lines


def test_debug_adds_the_trace(command, capsys):
    command(raising(InputError("what happened")))
    assert main(["--debug", "init"]) == 1
    printed = capsys.readouterr().err
    assert "Traceback" in printed and printed.endswith("Error: what happened\n")


def test_bugs_keep_their_traceback(command):
    command(raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main(["init"])


def test_warnings_are_one_line_each_on_stderr(command, capsys):
    def warn(options):
        import logging
        import warnings

        for _ in range(3):  # an ensemble of three, for instance, meets it thrice
            logging.getLogger("britekit.audio").warning("%s is\ndamaged", "a.wav")
        logging.getLogger("britekit.inference").info("using the exports")
        warnings.warn("from a library", UserWarning, stacklevel=1)
        warnings.warn("for programmers", DeprecationWarning, stacklevel=1)

    command(warn)
    assert main(["init"]) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    expected = ["Warning: a.wav is damaged", "using the exports", "Warning: from a library"]
    assert printed.err.splitlines() == expected


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, "Interrupted\n"),
        (signal.SIGTERM, 143, "Ended by a signal\n"),
        (signal.SIGHUP, 129, "Ended by a signal\n"),
    ],
)
def test_whoever_is_told_to_end_tidies_up_and_says_one_line(tmp_path, number, code, said):
    program = "import sys, time, importlib\nfrom britekit import cli\nfrom britekit.files import atomic_path\n"
    program += "import functools\nm = importlib.import_module('britekit.commands.init')\n"
    program += "@functools.wraps(m.init)\ndef init(**o):\n"
    program += "    with atomic_path('new.csv') as path:\n        path.write_text('half')\n"
    program += "        print('ready', flush=True)\n        time.sleep(30)\n"
    program += "m.init = init\nsys.exit(cli.main(['init']))"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        # Tests under nohup inherit that the signal is ignored, which is respected.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(number)
    _, printed = process.communicate(timeout=20)
    assert (process.returncode, printed) == (code, said)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_gone_is_no_error():
    code = "import os, sys\nfrom britekit import cli\nsys.exit(cli.main(['--help']))"
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(
        [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True, timeout=20, check=False
    )
    os.close(write)
    assert result.stderr == ""


@pytest.mark.parametrize("closed", [1, 2])
def test_a_closed_output_is_no_error(closed):
    program = [sys.executable, "-m", "britekit", "--version"]
    result = subprocess.run(
        program, capture_output=True, text=True, timeout=20, preexec_fn=lambda: os.close(closed), check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("shell", cli.SHELLS)
def test_completion_is_printed(shell, capsys):
    assert main(["--print-completion", shell]) == 0
    script = capsys.readouterr().out
    for name in command_names():
        assert name.replace("_", "-") in script


def test_completion_works_in_bash():
    script = "set -u\nsource /dev/stdin\nCOMP_WORDS=(britekit ini)\nCOMP_CWORD=1\n"
    script += '_shtab_britekit britekit ini britekit 2>/dev/null; echo "${COMPREPLY[@]}"'
    completion = run("--print-completion", "bash").stdout
    command = ["bash", "-c", script]
    result = subprocess.run(command, input=completion, capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["init"]


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_completion_works_in_fish():
    completion = run("--print-completion", "fish").stdout
    command = ["fish", "--no-config", "-c", 'source -; complete -C "britekit analyze --resu"']
    result = subprocess.run(command, input=completion, capture_output=True, text=True, check=False)
    assert result.stdout.split()[0] == "--resume"


def test_help_groups_name_each_command_once():
    commands = help_text().partition("Completion of")[0]
    listed = [line.split()[0] for line in commands.splitlines() if re.match("  [a-z]", line)]
    assert sorted(listed) == sorted(name.replace("_", "-") for name in command_names())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are UTF-8 whatever the locale")
def test_names_in_a_locale_that_knows_only_ascii(tmp_path):
    """LC_ALL=C with UTF-8 mode switched off, as some schedulers start programs."""
    (tmp_path / "Größe").mkdir()
    soundfile.write(tmp_path / "Größe" / "日本.wav", np.zeros(8000), 8000)
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"}
    for name, code in (("日本.wav", 0), ("nö.wav", 1)):
        done = subprocess.run(
            [sys.executable, "-m", "britekit", "audio-info", f"Größe/{name}"],
            cwd=tmp_path, capture_output=True, encoding="utf-8", env=environment,
        )  # fmt: skip
        assert done.returncode == code and name in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
