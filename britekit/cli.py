"""The program `britekit`: finds a command, reads its options, runs it, and turns errors into exit codes.

Help reads the first line of each command file and imports none; a command's own help imports that file
alone, and command files import the library inside their function. Only here are errors caught: 0 done, 1
could not be done, 2 wrong usage, 130 interrupted, 143 ended by SIGTERM.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from britekit import __version__
from britekit.commands import command_names

if TYPE_CHECKING:
    from britekit.command_parser import CommandParser

SHELLS = ("bash", "zsh", "fish", "tcsh")

# Headings of the help, each with the commands below it; a command named nowhere stands under "Other".
GROUPS = {
    "Pipeline and setup": "init sample collect extract pickle pickle-train train pseudo-label analyze calibrate "
    "rpt-test package serve watch",
    "Database": "add-cat add-class add-src add-stype copy-class dedup-rec dedup-seg del-cat del-class "
    "del-rec del-seg del-sgroup del-src del-stype find-dup rpt-db attribution",
    "Spectrograms in the database": "extract-all extract-by-image extract-by-csv reextract embed search",
    "Pictures": "plot-augment plot-db plot-dir plot-occlude plot-rec plot-test",
    "Models": "models find-lr tune ensemble teacher-targets pickle-frame ckpt-avg ckpt-freeze ckpt-onnx",
    "Results": "clips review rpt-precision rpt-activity rpt-drift export",
    "Evaluation": "exp compare summary analyze-db rpt-doubtful rpt-ann rpt-labels rpt-epochs rpt-iou",
    "Recordings": "audio-info xeno inat youtube audioset wav2mp3",
}

# What a hostile or damaged input leads to anywhere, in place of a guard at each reader.
_TOO_MUCH = {
    RecursionError: "the input is nested too deeply (--debug adds the trace)",
    MemoryError: "there is not enough memory for this (--debug adds the trace)",
    OverflowError: "the input holds a number that is too large (--debug adds the trace)",
}
# What other programs call the same thing.
SYNONYMS = {
    **dict.fromkeys(("detect", "predict", "infer", "inference", "classify", "score", "label"), "analyze"),
    **dict.fromkeys(("test", "evaluate", "eval", "report"), "rpt-test"),
    **dict.fromkeys(("download", "fetch"), "collect"),
    **dict.fromkeys(("onnx",), "ckpt-onnx"),
    **dict.fromkeys(("build", "bundle", "deploy"), "package"),
    **dict.fromkeys(("new", "create", "setup"), "init"),
    **dict.fromkeys(("fit", "learn"), "train"),
}

_LONGEST_LINE = 2000
_USAGE = """\
usage: britekit COMMAND [OPTIONS] [--debug]
       britekit [--help | --version | --print-completion SHELL]"""


class _Ended(KeyboardInterrupt):
    """The process received SIGTERM or SIGHUP: from a scheduler, Docker or a closed terminal."""


def main(argv: list[str] | None = None) -> int:
    """Run the program.

    Parameters
    ----------
    argv
        Arguments without the program's name; default: those of the process.

    Returns
    -------
    The exit code.
    """
    if argv is None:
        _insist_on_utf8()
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # closed by the parent process
            setattr(sys, stream, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        with _tidy_end():
            code = _run(arguments, debug)
            sys.stdout.flush()
        return code
    except SystemExit as stop:  # argparse: help is 0, wrong usage 2
        return stop.code if isinstance(stop.code, int) else 1
    except _Ended as end:
        _say("Ended by a signal")
        return 128 + int(end.args[0])
    except KeyboardInterrupt:
        _say("Interrupted")
        return 130
    except BrokenPipeError:
        # The reader of our output has gone; the interpreter must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        text = _sentence(error)
        if text is None:
            raise
        if debug:
            import traceback

            traceback.print_exc()
        for line in text.splitlines():
            _say(f"Error: {line}")
        return 1


def _insist_on_utf8() -> None:
    """Start again in UTF-8 mode where names of files are to be ASCII, as with ``LC_ALL=C PYTHONUTF8=0``."""
    if sys.getfilesystemencoding() != "ascii" or os.environ.get("PYTHONUTF8") == "1":
        return
    environment = {**os.environ, "PYTHONUTF8": "1"}
    os.execve(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]], environment)


def _run(arguments: list[str], debug: bool) -> int:
    first = arguments[0] if arguments else ""
    if first == "help" and arguments[1:]:
        arguments = [arguments[1], "--help"]
        first = arguments[0]
    if first in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if first in ("-V", "--version", "version"):
        print(f"britekit {__version__}")
        return 0
    if first == "--print-completion" or first.startswith("--print-completion="):
        return _print_completion(arguments)
    if not first:
        _say(_USAGE)
        _say("Error: a command is missing; britekit --help lists them")
        return 2
    name = first.replace("-", "_")
    if name not in command_names():
        from britekit.errors import suggest

        candidates = [command.replace("_", "-") for command in command_names()]
        kind = "option" if first.startswith("-") else "command"
        if kind == "option":
            candidates = ["--help", "--version", "--print-completion"]
        hint = suggest(SYNONYMS.get(first, first), candidates) or "; britekit --help lists them"
        _say(f'Error: unknown {kind} "{first}"{hint}')
        return 2
    options = vars(build_parser(name).parse_args(arguments[1:]))
    _prepare_output(debug)
    module = importlib.import_module(f"britekit.commands.{name}")
    getattr(module, name)(**options)
    return 0


@contextmanager
def _tidy_end() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise, as ctrl-C does, so that what is half written is removed.

    A process forked from this one, and one that ignores them (nohup), end or continue as before.
    """
    owner = os.getpid()

    def end(number: int, _frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() == owner:
            raise _Ended(number)
        os.kill(os.getpid(), number)

    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            if signal.getsignal(number) is end:
                signal.signal(number, signal.SIG_DFL)


def build_parser(name: str, **settings: Any) -> CommandParser:
    """Return the argument parser of one command, made from its function."""
    from britekit.command_parser import CommandParser
    from britekit.options import options_of

    module = importlib.import_module(f"britekit.commands.{name}")
    settings.setdefault("prog", f"britekit {name.replace('_', '-')}")
    return CommandParser(options_of(getattr(module, name)), description=module.__doc__, **settings)


def help_text() -> str:
    """Return what `britekit --help` prints: the commands by group, one line each."""
    left = {name.replace("_", "-"): name for name in command_names()}
    width = max(map(len, left), default=0)
    lines = [_USAGE, "", "From recordings to a tested, calibrated, packaged sound recognizer."]
    for heading, words in (*GROUPS.items(), ("Other", " ".join(left))):
        present = [word for word in words.split() if word in left]
        if present:
            lines += ["", f"{heading}:"]
            for word in present:
                lines += _wrap(f"  {word:<{width}}  {_summary(left.pop(word))}", width + 4)
    lines += [""]
    lines += _wrap("britekit COMMAND --help describes a command. --debug anywhere adds the trace to an error.")
    lines += [
        "Completion of commands and options:",
        '  bash  eval "$(britekit --print-completion bash)"   in ~/.bashrc',
        '  zsh   eval "$(britekit --print-completion zsh)"    in ~/.zshrc, after compinit',
        "  fish  britekit --print-completion fish | source    in config.fish",
    ]
    return "\n".join(lines)


def _wrap(line: str, indent: int = 0) -> list[str]:
    """Break a line where the terminal ends; what follows is indented."""
    import shutil
    import textwrap

    width = min(shutil.get_terminal_size().columns, 120)
    return textwrap.wrap(line, max(width, 60), subsequent_indent=" " * indent, break_on_hyphens=False)


def _summary(name: str) -> str:
    """Return the first line of a command file's docstring without importing the file."""
    path = os.path.join(os.path.dirname(__file__), "commands", f"{name}.py")
    with open(path, encoding="utf-8") as file:
        return file.readline().strip().strip('"').strip()


def _print_completion(arguments: list[str]) -> int:
    shell = arguments[0].partition("=")[2] or (arguments[1] if len(arguments) > 1 else "")
    if shell not in SHELLS:
        _say(f"Error: --print-completion needs one of {', '.join(SHELLS)}")
        return 2
    from britekit.command_parser import completion_script

    summaries = {name: _summary(name) for name in command_names()}
    print(completion_script(shell, summaries, build_parser))
    return 0


def _prepare_output(debug: bool) -> None:
    """Send warnings to stderr, one line each, and results to stdout line by line."""
    import logging
    import warnings

    class OneLine(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            message = _line(" ".join(record.getMessage().split()))
            prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.capitalize()}: "
            return prefix + message + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")

    class Stderr(logging.StreamHandler):  # type: ignore[type-arg]
        """Looks up sys.stderr at each line, since tests and notebooks replace it; says no warning twice."""

        said: set[int] = set()

        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING and record.exc_info is None:
                key = hash(record.getMessage())
                if key in self.said:
                    return
                self.said.add(key)
            self.stream = sys.stderr
            super().emit(record)

    handler = Stderr(sys.stderr)
    handler.setFormatter(OneLine())
    ours = logging.getLogger("britekit")
    ours.handlers = [handler]
    ours.setLevel(logging.DEBUG if debug else logging.INFO)
    ours.propagate = False
    if not debug:
        threading.excepthook = _thread_failed
        # Warnings for programmers do not concern users of a command.
        for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", category)
    warnings.showwarning = _show_warning


def _thread_failed(failure: Any) -> None:
    """Omit the traceback of a thread that could not write: its caller raises the same error."""
    if _sentence(failure.exc_value) is None:
        threading.__excepthook__(failure)


def _show_warning(message: Any, *place: Any, **more: Any) -> None:
    _say(f"Warning: {' '.join(str(message).split())}")


def _sentence(error: Exception) -> str | None:
    """Return the message for an error, or None if it is a bug and keeps its traceback."""
    from britekit.errors import BriteKitError

    if isinstance(error, BriteKitError):
        return str(error) or type(error).__name__
    if isinstance(error, OSError):
        from britekit.files import UNWRITABLE

        if error.errno in UNWRITABLE:
            place = f"{error.filename}: " if error.filename is not None else ""
            return f"{place}{(error.strerror or str(error)).lower()}"
    if isinstance(error, ValueError) and "for integer string conversion" in str(error):
        error = OverflowError()
    return next((text for kind, text in _TOO_MUCH.items() if isinstance(error, kind)), None)


def _say(text: str) -> None:
    print(_line(text), file=sys.stderr, flush=True)


def _line(text: str) -> str:
    """Return a message for a terminal: what a file holds must neither steer that nor bury the sentence."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    if len(shown) <= _LONGEST_LINE:
        return shown
    return f"{shown[: _LONGEST_LINE - 400]} [...] {shown[-400:]}"
