#!/usr/bin/env bash
# Format, lint, types, layers, references, workflows: what `make check`, `hatch run britekit:check` and CI run.
# All steps run even if one fails, so that one look shows everything.
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
step layers python -m pytest -q -n 0 tests/test_layers.py tests/test_imports.py
step references python docs/make_references.py --check
# The workflows themselves run on GitHub only; macOS and Windows are tried nowhere else.
step workflows check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
step dependabot check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
step forms check-jsonschema --quiet --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
step zizmor zizmor --offline --no-progress --quiet .github
if ((${#failed[@]})); then
    echo "Failed: ${failed[*]} (ruff format . and ruff check --fix . mend most of the first two)" >&2
    exit 1
fi
echo "All checks passed"
