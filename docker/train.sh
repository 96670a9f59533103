#!/bin/sh
# Runs the pipeline of the mounted project and pushes what it made to the store.
# The remote is named in a configuration of the container's own, so that the project's .dvc/config stays as it is.
set -eu
: "${STORE_URL:?set STORE_URL, for instance s3://britekit/dvc}"
export HOME="${BRITEKIT_HOME:-$(mktemp -d)}"
export DVC_GLOBAL_CONFIG_DIR="$HOME/dvc"
mkdir -p "$DVC_GLOBAL_CONFIG_DIR"
git config --global --add safe.directory "$(pwd)"
dvc remote add --quiet --force --global store "$STORE_URL"
if [ -n "${STORE_ENDPOINT:-}" ]; then
    dvc remote modify --quiet --global store endpointurl "$STORE_ENDPOINT"
fi
[ -f dvc.yaml ] || { echo "Error: $(pwd) holds no dvc.yaml; mount a project there" >&2; exit 1; }
dvc repro "$@"
dvc push --remote store
