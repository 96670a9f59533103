#!/bin/sh
# Entry point of the training image. Whoever runs it gets a home and, in a configuration of the container's own, the
# store as DVC remote, so that the project's .dvc/config stays as it is. Then runs the command given; without one, the
# pipeline of the mounted project, and pushes what it made to the store.
set -eu
HOME=$(mktemp -d)
export HOME DVC_GLOBAL_CONFIG_DIR="$HOME/dvc"
mkdir "$DVC_GLOBAL_CONFIG_DIR"
if [ -n "${STORE_URL:-}" ]; then
    dvc remote add --quiet --global store "$STORE_URL"
    [ -z "${STORE_ENDPOINT:-}" ] || dvc remote modify --quiet --global store endpointurl "$STORE_ENDPOINT"
fi
[ $# -eq 0 ] || exec "$@"

fail() { echo "Error: $*" >&2; exit 1; }
[ -n "${STORE_URL:-}" ] || fail "STORE_URL is not set, for instance to s3://britekit/dvc; to run without a store, give a command: dvc repro"
[ -f dvc.yaml ] || fail "$(pwd) contains no dvc.yaml; mount a project there"
[ -w . ] || fail "the project belongs to user $(stat -c %u .), and user $(id -u) may not write in it; set USER_ID=$(stat -c %u .) GROUP_ID=$(stat -c %g .)"
dvc repro
dvc push --remote store
