#!/usr/bin/env bash
# Format, lint, types, layers: what `make check`, `hatch run britekit:check` and CI run.
# All four run even if one fails, so that one look shows everything.
set -u
cd "$(dirname "$0")/.." || exit 1
# Outside an activated environment, the one that `make install` made.
if [ -z "${VIRTUAL_ENV:-}" ] && [ -x .venv/bin/python ]; then PATH="$PWD/.venv/bin:$PATH"; fi
failed=()
step() {
    local name=$1
    shift
    echo "== $name"
    "$@" || failed+=("$name")
}
step format python -m ruff format --check .
step lint python -m ruff check .
step types python -m mypy
step layers python -m pytest -q tests/test_layers.py tests/test_imports.py
if ((${#failed[@]})); then
    echo "Failed: ${failed[*]} (ruff format . and ruff check --fix . mend most of the first two)" >&2
    exit 1
fi
echo "All checks passed"
