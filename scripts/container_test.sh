#!/usr/bin/env bash
# Builds the images and tries them, where a Docker engine runs; says so where none does.
#
#     scripts/container_test.sh            the serving image: size, contents, offline answers, stop; then BentoML's own
#     CONTAINER_TRAIN=1 scripts/container_test.sh   also docker/compose.yaml: the pipeline of the last commit in the
#                                                   training image, its results in the S3 store, its Bento served
#
# BASE: an image with Python 3.11 (default python:3.11-slim). BUILD_NETWORK: network of `docker build`. BENTO: what to
# serve (default models/britekit-ensemble.bento).
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v docker > /dev/null || ! docker info > /dev/null 2>&1; then
    echo "container-test: no Docker engine runs here; nothing was tested"
    exit 0
fi

base=${BASE:-python:3.11-slim}
network=${BUILD_NETWORK:-default}
bento=${BENTO:-models/britekit-ensemble.bento}
image=britekit-serve:test
name=britekit-serve-test-$$
work=$(mktemp -d)
project=$work/project
copied=
clean_up() {
    docker rm --force "$name" "$name-train" > /dev/null 2>&1 || true
    docker volume rm --force "$name" > /dev/null 2>&1 || true
    if [ -d "$project" ]; then (cd "$project" && docker compose down --volumes > /dev/null 2>&1) || true; fi
    rm -rf "$work" "$copied"
}
trap clean_up EXIT

fail() { echo "Error: container-test: $*" >&2; exit 1; }
say() { echo "container-test: $*"; }

[ -f "$bento" ] || fail "$bento does not exist; run make demo or britekit package first"
# The build context holds Bentos below models/ only.
case $bento in
    models/*) ;;
    *) mkdir -p models; copied=$PWD/models/container-test-$$.bento; cp "$bento" "$copied"; bento=${copied#"$PWD"/} ;;
esac

docker build --quiet --network "$network" --build-arg BASE="$base" --build-arg BENTO="$bento" \
    --file britekit/service/Dockerfile --tag "$image" . > /dev/null
bytes=$(docker image inspect --format '{{.Size}}' "$image")
say "serving image: $((bytes / 1000000)) MB"
[ "$bytes" -le 1000000000 ] || fail "the serving image is larger than 1 GB"
check_contents() {
    [ "$(docker run --rm --network none "$1" id -u)" != 0 ] || fail "$1 runs the service as root"
    docker run --rm --network none "$1" python -c '
import importlib.util, pathlib, sys
found = [name for name in ("torch", "nvidia", "lightning", "pip") if importlib.util.find_spec(name)]
found += [str(path) for path in pathlib.Path(sys.prefix).rglob("libcu*.so*")]
sys.exit(f"found {found}" if found else 0)' || fail "$1 holds what it should not"
}
wait_until_ready() {
    for _ in $(seq 240); do
        docker exec "$name" python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:3000/readyz', timeout=4)" \
            > /dev/null 2>&1 && return
        [ "$(docker inspect --format '{{.State.Running}}' "$name")" = true ] || break
        sleep 0.5
    done
    docker logs "$name" >&2
    fail "the service did not become ready"
}
check_contents "$image"

code=0
docker run --rm --network none --read-only --tmpfs /tmp "$image" > /dev/null 2> "$work/refused" || code=$?
grep -q "needs a token" "$work/refused" && [ "$code" = 1 ] || fail "the image serves everybody without being told to"
docker run --detach --name "$name" --env BRITEKIT_NO_TOKEN=1 --env BRITEKIT_JOBS=/jobs --volume "$name:/jobs" \
    --network none --read-only --tmpfs /tmp:size=1g,mode=1777 --cap-drop ALL \
    --security-opt no-new-privileges "$image" > /dev/null
wait_until_ready

cat > "$work/ask.py" <<'PYTHON'
"""Send noise to the service and check what comes back."""
import io, json, os, sys, time, urllib.error, urllib.request
import numpy, soundfile
sound = io.BytesIO()
soundfile.write(sound, 0.1 * numpy.random.default_rng(0).standard_normal(20 * 22050), 22050, format="FLAC")
seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0
if seconds:
    sound = io.BytesIO()
    soundfile.write(sound, 0.1 * numpy.random.default_rng(0).standard_normal(int(seconds * 8000)), 8000, format="WAV")
body = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="n.flac"\r\n\r\n' + sound.getvalue() + b"\r\n--b--\r\n"
head = {"Content-Type": "multipart/form-data; boundary=b"}
for path in ("scores",) if seconds else ("scores", "detections", "spectrogram"):
    request = urllib.request.Request(f"http://127.0.0.1:3000/{path}", body, head)
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        assert seconds and error.code == 503 and int(error.headers["Retry-After"]) > 0, error
        print(json.load(error)["error"])
        sys.exit()
    assert answer.status == 200
    if path == "scores":
        assert abs(json.load(answer)["seconds"] - (seconds or 20)) < 0.01
if "BRITEKIT_JOBS" in os.environ and not seconds:
    jobs = "http://127.0.0.1:3000/jobs"
    job = json.load(urllib.request.urlopen(urllib.request.Request(jobs, body, head), timeout=60))
    while job["state"] in ("queued", "running"):
        time.sleep(0.2)
        job = json.load(urllib.request.urlopen(f"{jobs}/{job['id']}", timeout=60))
    assert job["state"] == "done", job
print("finished")
PYTHON
docker exec -i "$name" python - < "$work/ask.py" > /dev/null || { docker logs "$name" >&2; fail "the service did not answer"; }
for _ in $(seq 60); do
    [ "$(docker inspect --format '{{.State.Health.Status}}' "$name")" = healthy ] && healthy=1 && break
    sleep 1
done
[ -n "${healthy:-}" ] || fail "the health check does not pass"
say "answers with no network, as user $(docker exec "$name" id -u), on a read-only root; does jobs on a new volume; healthy"

# A request in flight is finished or told to come back, and the stop takes at most 10 s. The asker shares the network of the container, not
# its life.
docker run --rm --interactive --network "container:$name" "$image" python - 3600 < "$work/ask.py" > "$work/answer" 2>&1 &
asker=$!
for _ in $(seq 300); do
    docker exec "$name" sh -c 'ls -d /tmp/.britekit-uploads.*/britekit-upload-*' > /dev/null 2>&1 && sent=1 && break
    sleep 0.1
done
[ -n "${sent:-}" ] || fail "the long request did not arrive"
began=$(date +%s%N)
docker stop --time 30 "$name" > /dev/null
took=$((($(date +%s%N) - began) / 1000000))
wait "$asker" || { cat "$work/answer" >&2; fail "a request in flight was dropped by the stop"; }
code=$(docker inspect --format '{{.State.ExitCode}}' "$name")
say "stopped in $took ms with code $code, a request in flight was answered: $(tail -n 1 "$work/answer")"
[ "$took" -le 10000 ] || fail "the stop took more than 10 s"
[ "$code" != 137 ] || fail "the service had to be killed"

# The image that BentoML makes of the same Bento, from the base image that is named in it.
docker rm --force "$name" > /dev/null
export BENTOML_HOME=$work/bentoml BENTOML_DO_NOT_TRACK=true
mkdir "$BENTOML_HOME"
python -m bentoml import "$PWD/$bento" > /dev/null
tag=$(python -c 'import bentoml; print(bentoml.list()[0].tag)')
python -m bentoml containerize "$tag" --image-tag britekit-bento:test > "$work/containerize" 2>&1 \
    || { cat "$work/containerize" >&2; fail "bentoml containerize failed"; }
check_contents britekit-bento:test
docker run --detach --name "$name" --network none britekit-bento:test > /dev/null
wait_until_ready
docker exec -i "$name" python - < "$work/ask.py" > /dev/null || { docker logs "$name" >&2; fail "BentoML's image does not answer"; }
began=$(date +%s%N)
docker stop --time 30 "$name" > /dev/null
say "BentoML's image: $(($(docker image inspect --format '{{.Size}}' britekit-bento:test) / 1000000)) MB;" \
    "it answers and stopped in $((($(date +%s%N) - began) / 1000000)) ms"

[ -n "${CONTAINER_TRAIN:-}" ] || exit 0

docker compose version > /dev/null 2>&1 || fail "docker compose is missing"
git clone --quiet . "$project"
cd "$project"
export COMPOSE_PROJECT_NAME=britekit-test-$$ COMPOSE_FILE=docker/compose.yaml TAG=test PORT=0
export BASE=$base BUILD_NETWORK=$network
USER_ID=$(id -u) GROUP_ID=$(id -g)
export USER_ID GROUP_ID
unset PROJECT BENTO
if [ "$USER_ID" = 0 ]; then
    # Root may write anywhere: try it as somebody whom the image does not know.
    USER_ID=4321 GROUP_ID=4321
    chown -R 4321:4321 .
fi
docker compose config --quiet
docker compose build --quiet store train
say "training image: $(($(docker image inspect --format '{{.Size}}' britekit-train:test) / 1000000)) MB"

# Killed in the middle, it goes on when it is run again.
docker compose run --detach --name "$name-train" train > /dev/null
for _ in $(seq 600); do
    docker logs "$name-train" 2>&1 | grep "Running stage 'extract'" > /dev/null && reached=1 && break
    sleep 0.5
done
[ -n "${reached:-}" ] || { docker logs "$name-train" >&2; fail "the pipeline did not reach its second stage"; }
docker rm --force "$name-train" > /dev/null

began=$SECONDS
docker compose run --rm train
say "the pipeline ran in the container and went to the store in $((SECONDS - began)) s"
[ -s dvc.lock ] || fail "the pipeline left no dvc.lock"
foreign=$(find . ! -user "$USER_ID" -o ! -group "$GROUP_ID" | head -n 3)
[ -z "$foreign" ] || fail "the pipeline left files of somebody else: $foreign"
docker compose run --rm train dvc status --cloud --remote store > "$work/status"
grep -q "in sync" "$work/status" || fail "the store does not hold what the pipeline made"
docker compose run --rm train > "$work/again"
grep -q "Data and pipelines are up to date" "$work/again" || { cat "$work/again" >&2; fail "a second run ran stages again"; }
say "the store holds all of it, and a second run does nothing"

BRITEKIT_NO_TOKEN=1 docker compose up --build --detach --wait --quiet-pull serve > "$work/up" 2>&1 || { cat "$work/up" >&2; fail "compose does not serve"; }
docker compose exec -T serve python - < "$work/ask.py" > /dev/null || fail "the service of compose does not answer"
address=$(docker compose port serve 3000)
python3 -c 'import sys, urllib.request; urllib.request.urlopen(f"http://{sys.argv[1]}/readyz", timeout=5)' "$address" \
    || fail "the service of compose does not answer on $address"
began=$SECONDS
docker compose stop serve > /dev/null 2>&1
say "compose serves what the pipeline made, and stopped in $((SECONDS - began)) s"
