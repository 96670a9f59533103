"""Print how good the project's recognizer is: five figures, a threshold and the next command.

With `--markdown`, also write a report for a comment on a pull request: the figures, the comparison with
another revision, curves and classes.

    britekit summary
    britekit summary --base main --markdown report.md
"""

from typing import Annotated, Optional

from britekit.options import opt


def summary(
    markdown_path: Annotated[
        Optional[str], opt("--markdown", metavar="FILE", help="write a report in Markdown (default: none)")
    ] = None,
    base: Annotated[
        Optional[str], opt("--base", metavar="REV", help="revision that the report compares with (default: none)")
    ] = None,
) -> str:
    """Print the figures of the project's last test; return the text."""
    from pathlib import Path

    from britekit.errors import InputError
    from britekit.files import write_text
    from britekit.project.summary import summary_text
    from britekit.tracking.facts import project_root

    if base is not None and markdown_path is None:
        raise InputError("--base is for the report of --markdown; use britekit compare REV to print a comparison")
    text = summary_text(project_root())
    print(text)
    if markdown_path is not None:
        from britekit.project.markdown import markdown_report

        write_text(Path(markdown_path), markdown_report(project_root(), base))
        print(f"markdown = {markdown_path}")
    return text
