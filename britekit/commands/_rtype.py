"""The option ``--rtype`` of analyze and watch."""

from typing import Annotated

from britekit.format_names import format_names
from britekit.options import opt

FormatNames = Annotated[
    str,
    opt(
        "-r",
        "--rtype",
        help=f"{', '.join(format_names(written=True))}; both (audacity and csv), "
        "or several with commas (default: both)",
    ),
]
