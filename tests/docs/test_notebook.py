"""The notebook runs from its first cell to its last, and lies in the repository without outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "docs/notebook/recording_to_model.ipynb"


def read():
    import nbformat

    return nbformat.read(PATH, as_version=4)


def test_it_is_stored_without_outputs():
    cells = [cell for cell in read().cells if cell.cell_type == "code"]
    assert cells and not [cell for cell in cells if cell.outputs or cell.execution_count]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_runs(tmp_path, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = read()
    # Raises with the cell and its trace if one fails.
    client = NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    last = [cell for cell in notebook.cells if cell.cell_type == "code"][-1]
    kinds = {output.output_type for output in last.outputs}
    assert "display_data" in kinds and "execute_result" in kinds
    assert next(o for o in last.outputs if o.output_type == "execute_result").data["text/plain"].startswith("(")
