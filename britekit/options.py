"""How a command declares its options: in the annotations of its function, once.

    def find_lr(
        cfg_path: ConfigPath = None,
        num: Annotated[int, opt("-n", "--num", metavar="INT", help="batches (default: 100)")] = 100,
    ) -> float:

The parameter gives the name, type and default; `opt` gives the flags and the help. `options_of` builds the
dataclass that argparse-dataclass reads, `document` the documentation for Python callers.
"""

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Optional, ParamSpec, TypeVar

from britekit.errors import InputError


@dataclasses.dataclass(frozen=True)
class Opt:
    """The command-line side of one parameter: argparse-dataclass metadata."""

    metadata: dict[str, Any]


def opt(
    *flags: str,
    help: str,
    type: Callable[[str], Any] | None = None,
    choices: Iterable[Any] | None = None,
    required: bool = False,
    metavar: str | None = None,
    nargs: str | int | None = None,
) -> Opt:
    """Describe one option of a command.

    Parameters
    ----------
    *flags
        ``--name``, ``-n``; none means ``--parameter-name``. Words are joined by ``-``; the command line also
        accepts ``_``. A word without dashes, equal to the parameter's name, makes a positional argument
        (optional with ``nargs="?"``).
    help
        One line; spell the default in it.
    type
        Converter from text; default: the annotated type.
    choices
        The only values accepted.
    required
        Whether the command line requires the option.
    nargs
        As in argparse; `nargs` needs a `type`.
    """
    # argparse formats help texts with %: a plain per cent sign would make --help crash.
    given: dict[str, Any] = {"type": type, "metavar": metavar, "nargs": nargs, "required": required or None}
    metadata = {"help": help.replace("%", "%%")} | {k: v for k, v in given.items() if v is not None}
    if flags:
        metadata["args"] = list(flags)
    if choices is not None:
        metadata["choices"] = list(choices)
    return Opt(metadata)


_P = ParamSpec("_P")
_R = TypeVar("_R")
# What nearly every command has comes first in its help.
_FIRST = ("cfg_path", "db_path")

ConfigPath = Annotated[
    Optional[str], opt("-c", "--cfg", "--config", metavar="FILE", help="YAML file of settings to override")
]
DbPath = Annotated[
    Optional[str],
    opt(
        "-d", "--db", metavar="DB", help="training database: a path or a URL (default: train.train_db of the settings)"
    ),
]
SpecGroup = Annotated[str, opt("--sgroup", metavar="NAME", help="spectrogram group (default: default)")]
ClassName = Annotated[str, opt("--name", required=True, metavar="NAME", help="class name")]
Category = Annotated[str, opt("--cat", metavar="NAME", help="category of a new class (default: default)")]
ClassCode = Annotated[Optional[str], opt("--code", metavar="CODE", help="code of a new class")]
SourceName = Annotated[
    Optional[str],
    opt("--src", metavar="NAME", help="source (default: derived from the file name, see misc.source_regexes)"),
]
RecordingsDir = Annotated[str, opt("--rec-dir", required=True, metavar="DIR", help="directory of recordings")]
CopyTo = Annotated[
    Optional[str],
    opt("--dest-dir", metavar="DIR", help="copy each recording to this directory, and store the path of the copy"),
]
Force = Annotated[bool, opt("--force", help="change a database even if the pipeline builds it")]
FillDir = Annotated[str, opt("-o", "--output", required=True, metavar="DIR", help="output directory")]
DryRun = Annotated[bool, opt("--dry-run", help="list what would be downloaded and exit")]
Jobs = Annotated[int, opt("--jobs", metavar="N", help="simultaneous downloads, 1 to 8 (default: 4)")]
Licences = Annotated[
    Optional[str], opt("--license", metavar="LIST", help="accept only these licences, such as CC0,CC-BY")
]
PicturesDir = Annotated[str, opt("-o", "--output", required=True, metavar="DIR", help="directory of the pictures")]
Power = Annotated[
    float, opt("--power", metavar="EXPONENT", help="display exponent; below 1 shows faint sounds (default: 1)")
]
NoAxes = Annotated[bool, opt("--ndims", help="leave out the axes")]
CkptPath = Annotated[
    Optional[str], opt("--ckpt", metavar="PATH", help="checkpoint or directory of them (default: misc.ckpt_folder)")
]
MinScore = Annotated[
    Optional[float],
    opt("-m", "--min-score", metavar="FLOAT", help="lowest score of a label (default: infer.min_score)"),
]
Threads = Annotated[
    Optional[int], opt("--threads", metavar="INT", help="recordings decoded in parallel (default: infer.num_threads)")
]
WindowOverlap = Annotated[
    Optional[float], opt("--overlap", metavar="SECONDS", help="overlap of neighboring windows (default: infer.overlap)")
]
LabelLength = Annotated[
    Optional[float],
    opt("--seg", metavar="SECONDS", help="fixed label length, SED heads only (default: infer.segment_len)"),
]
Engine = Annotated[
    str, opt("--engine", metavar="NAME", help="local, or ray: on the nodes of a Ray cluster (default: local)")
]
Address = Annotated[
    Optional[str],
    opt("--address", metavar="TEXT", help="address of the Ray cluster (default: a running cluster, else a local one)"),
]
TimeExpansion = Annotated[
    Optional[float],
    opt(
        "--time-expansion",
        metavar="FACTOR",
        help="how many times slower the recordings are stored, 10 or 8 for many bat detectors (default: by "
        "recordings.csv or their GUANO metadata)",
    ),
]
Raw = Annotated[
    bool,
    opt(
        "--raw",
        help="write uncalibrated scores (default: calibrated by infer.calibration, else by "
        "models/calibration.yaml if it belongs to the models)",
    ),
]
ByThresholds = Annotated[
    bool,
    opt(
        "--thresholds", help="use the threshold of each class that calibrate --precision found in place of --min-score"
    ),
]
LabelDir = Annotated[
    Optional[str],
    opt(
        "-l",
        "--labels",
        required=True,
        metavar="DIR",
        help="output of analyze, looked up in the recordings directory first",
    ),
]
SegmentAnnotations = Annotated[
    Optional[str], opt("-a", "--annotations", required=True, metavar="FILE", help="annotations per segment")
]
Recordings = Annotated[
    Optional[str], opt("-r", "--recordings", metavar="DIR", help="recordings (default: where the annotations are)")
]
Strict = Annotated[
    bool, opt("--strict", help="fail on an annotated class that the models do not know (a DVC stage always does)")
]
MetricsPath = Annotated[
    Optional[str], opt("--metrics", metavar="FILE", help="also write the figures as a small JSON file")
]
TablesDir = Annotated[
    Optional[str], opt("-o", "--output", required=True, metavar="DIR", help="output directory of the tables")
]
LowestScore = Annotated[
    float, opt("-m", "--min-score", metavar="SCORE", help="lowest score of a detection (default: 0)")
]
Annotations = Annotated[str, opt("-a", "--annotations", required=True, metavar="FILE", help="annotations per segment")]
TestDir = Annotated[
    Optional[str],
    opt("--test", metavar="DIR", help="test recordings (default: the folder of pipeline.test_annotations)"),
]
UnlabeledDir = Annotated[
    str, opt("-i", "--input", metavar="DIR", help="unlabeled recordings, with subfolders (default data/unlabelled)")
]
DeploymentsPath = Annotated[
    str, opt("--deployments", metavar="FILE", help="table of deployments (default: data/deployments.csv)")
]
Checkpoints = Annotated[
    str, opt("-i", "--input", metavar="PATH", required=True, help="checkpoint or directory of checkpoints")
]
AnyLabels = Annotated[
    str, opt("-l", "--labels", required=True, metavar="DIR", help="output of analyze, or labels of another program")
]
ClassNames = Annotated[
    Optional[str], opt("--name", metavar="LIST", help="only these classes, separated by commas (default: all)")
]
ArchiveDir = Annotated[str, opt("--archive", required=True, metavar="DIR", help="archive that embed --archive made")]
ArchiveModel = Annotated[
    Optional[str], opt("--model", metavar="FILE", help="the model of the archive (default: where it was)")
]
PlotOverlap = Annotated[float, opt("--overlap", metavar="SECONDS", help="overlap of neighboring segments (default: 0)")]
LostShare = Annotated[
    float, opt("--alpha", metavar="FLOAT", help="share of the score below which it counts as lost (default: 0.05)")
]
FramePad = Annotated[int, opt("--pad", metavar="INT", help="frames to add on both sides (default: 0)")]
ReportDir = Annotated[str, opt("-o", "--output", required=True, metavar="DIR", help="output directory of the report")]


def is_on_ray(engine: str, address: str | None) -> bool:
    """Return whether `Engine` and `Address` name a Ray cluster; raise `InputError` if they make no sense."""
    if engine not in ("local", "ray"):
        raise InputError(f'--engine "{engine}" is neither local nor ray')
    if address is not None and engine != "ray":
        raise InputError("--address is about a Ray cluster; add --engine ray")
    return engine == "ray"


def options_of(function: Callable[..., Any]) -> type:
    """Return the options dataclass of a command function; parameters without `opt` are for Python only."""
    fields = []
    parameters = inspect.signature(function).parameters
    for name, (kind, option) in sorted(_declared(function), key=lambda item: item[0] not in _FIRST):
        default = {} if option.metadata.get("required") else {"default": parameters[name].default}
        fields.append((name, kind, dataclasses.field(metadata=option.metadata, **default)))
    return dataclasses.make_dataclass("Options", fields, kw_only=True)


def document(function: Callable[..., Any]) -> Callable[..., Any]:
    """Document a command function for Python: parameters from the help, annotations without `opt`."""
    if "__signature__" in vars(function):
        return function
    signature = inspect.signature(function)
    kinds = {name: kind for name, (kind, _) in _declared(function)}
    parameters = [p.replace(annotation=kinds.get(p.name, p.annotation)) for p in signature.parameters.values()]
    vars(function)["__signature__"] = signature.replace(parameters=parameters)
    lines = ["Parameters", "----------"]
    for name, (_, option) in _declared(function):
        meaning = option.metadata["help"].replace("%%", "%")
        lines += [name, f"    {meaning[:1].upper()}{meaning[1:]}."]
    # After the text, before Returns and Raises.
    text, *sections = re.split(r"\n\n(?=\w+\n-{3,}\n)", inspect.cleandoc(function.__doc__ or ""))
    function.__doc__ = "\n\n".join([text, "\n".join(lines), *sections])
    return function


def alias(function: Callable[_P, _R], name: str) -> Callable[_P, _R]:
    """Return a command function under another name."""

    @functools.wraps(function)
    def other(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        return function(*args, **kwargs)

    other.__name__ = other.__qualname__ = name
    return other


def _declared(function: Any) -> Iterator[tuple[str, tuple[Any, Opt]]]:
    """Yield name, type and option of each parameter that has one."""
    for name, annotation in function.__annotations__.items():
        if hasattr(annotation, "__metadata__"):
            yield name, (annotation.__origin__, annotation.__metadata__[0])
