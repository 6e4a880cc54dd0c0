# shellcheck shell=bash
# What scripts/check, .ci/run and .ci/full are made of. They source it in the project's root.
#
# A stage that fails does not end the run, so that one run shows all that is wrong; `summary` says so at the end.
set -uo pipefail

UV=.uv/bin/uv
export UV_PYTHON_DOWNLOADS=never
# Where it is set, each stage would compile all tests anew.
unset PYTHONDONTWRITEBYTECODE
WORK="$(mktemp -d)"
export DATA_DIR="$WORK/data"
SUMMARY=()
FAILED=0
BESIDE=
STAGE=
STAGE_BEGAN=0

clean_up() {
  [ -z "$BESIDE" ] || { kill -- "-$BESIDE"; wait "$BESIDE"; } 2> /dev/null
  rm -rf "$WORK"
}
trap clean_up EXIT

# stage NAME COMMAND...: runs the command as under `set -e`, and notes its time and result.
stage() {
  STAGE="$1"
  STAGE_BEGAN="$SECONDS"
  shift
  printf '\n== %s\n' "$STAGE"
  (set -e; "$@")
  note "$STAGE" "$?" "$STAGE_BEGAN"
}

# beside NAME COMMAND...: starts a stage that runs while others do. `join` waits for it and shows what it printed.
beside() {
  BESIDE_NAME="$1"
  BESIDE_BEGAN="$SECONDS"
  shift
  set -m  # a process group of its own
  (
    (set -e; "$@")
    status=$?
    echo "$SECONDS" > "$WORK/beside.end"
    exit "$status"
  ) > "$WORK/beside.log" 2>&1 &
  set +m
  BESIDE=$!
}

join() {
  local status
  printf '\n== %s\n' "$BESIDE_NAME"
  wait "$BESIDE"
  status=$?
  BESIDE=
  cat "$WORK/beside.log"
  note "$BESIDE_NAME" "$status" "$BESIDE_BEGAN" "$(cat "$WORK/beside.end")"
}

# note NAME STATUS BEGAN [ENDED]
note() {
  local result=ok seconds="$((${4:-$SECONDS} - $3))"
  [ "$2" = 0 ] || { result="FAILED (exit status $2)"; FAILED=1; }
  SUMMARY+=("$(printf '%-32s %5d s  %s' "$1" "$seconds" "$result")")
  printf '== %s: %s, %d s\n' "$1" "$result" "$seconds"
}

# For a signal: the stage that runs is cut short, and those after it are left out.
stop() {
  note "$STAGE, stopped" 124 "$STAGE_BEGAN"
  summary
}

# One line a stage. Ends the script, with 1 if a stage has failed.
summary() {
  printf '\n== summary\n'
  printf '%s\n' "${SUMMARY[@]}"
  note "all" "$FAILED" 0
  exit "$FAILED"
}

# --- the stages ---

set_up_and_checks() {
  stage "programs" install_programs
  stage "uv" install_uv
  stage "clients in their pinned versions" install_clients
  stage "lint" lint
  stage "types" types
  stage "requirements.txt" requirements
  stage "migrations" migrations
}

# `join` must follow: the property tests may still run.
all_stages() {
  beside "property tests" properties
  stage "fast tests" fast_tests_with_coverage
  local version
  for version in $(other_pythons); do
    stage "fast tests, Python $version" tests_on "$version" --stage fast
  done
  stage "clients" tests --stage clients
  stage "pages" tests --stage pages
  stage "the rest" tests --stage rest
}

# --- what the stages do ---

# program:package, as Debian names them
PROGRAMS="curl:curl haproxy:haproxy wrk:wrk node:nodejs npm:npm chromium:chromium"

missing_packages() {
  for pair in $PROGRAMS; do
    command -v "${pair%%:*}" > /dev/null || printf '%s ' "${pair##*:}"
  done
  # A PostgreSQL client alone does not do; Debian keeps the server's programs out of PATH.
  compgen -G '/usr/lib/postgresql/*/bin/initdb' > /dev/null || printf 'postgresql '
  python3 -c 'import ensurepip, venv' 2> /dev/null || printf 'python3-venv '
}

# On Debian as root; elsewhere a program that is missing fails the tests that need it.
install_programs() {
  local packages
  packages="$(missing_packages)"
  [ -n "$packages" ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "Missing, and not ours to install: $packages"
    return 0
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # shellcheck disable=SC2086  # one word a package
  apt-get install -y -qq --no-install-recommends $packages > /dev/null
}

install_uv() {
  [ -x "$UV" ] || { python3 -m venv .uv && .uv/bin/pip install -q uv; }
}

install_clients() {
  $UV run --group dev python -m tests.clients.node_packages
}

lint() {
  $UV run --group lint ruff check .
  $UV run --group lint ruff format --check .
  $UV run --group lint hadolint Dockerfile
}

types() {
  $UV run --group dev --group lint mypy .
}

migrations() {
  $UV run manage.py makemigrations --check --dry-run
}

# requirements.txt is made anew, beginning with what it pins: nothing moves while that satisfies pyproject.toml. Hashes
# are left out of the comparison, because a release may get files for further machines later on.
requirements() {
  cp requirements.txt "$WORK/requirements.txt"
  $UV pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-annotate --quiet -o "$WORK/requirements.txt"
  diff <(grep '==' requirements.txt) <(grep '==' "$WORK/requirements.txt")
  python3 -m venv "$WORK/venv"
  "$WORK/venv/bin/pip" install -q --require-hashes -r requirements.txt
  "$WORK/venv/bin/python" manage.py check
}

# README.md's command.
tests() {
  python3 -m venv .uv && .uv/bin/pip install -q uv && .uv/bin/uv run --group dev pytest "$@"
}

# Fails below the floor in pyproject.toml, too.
fast_tests_with_coverage() {
  local data="--data-file=$WORK/coverage"
  $UV run --group dev coverage run "$data" -m pytest --stage fast
  $UV run --group dev coverage report "$data" --skip-covered --sort=cover
}

# The property tests want a processor and nothing else, the others wait a lot.
properties() {
  nice -n 19 $UV run --group dev pytest -p no:cacheprovider --stage properties
}

# The Pythons in PATH that the project supports, such as "3.11 3.13".
pythons() {
  for minor in {11..30}; do
    "python3.$minor" -c '' 2> /dev/null && printf '3.%s ' "$minor"
  done
}

other_pythons() {
  local used
  used="$($UV run python -c 'import sys; print(sys.version_info.minor)')"
  for version in $(pythons); do
    [ "$version" = "3.$used" ] || printf '%s ' "$version"
  done
}

# tests_on VERSION PYTEST-ARGUMENTS...: in an environment of its own.
tests_on() {
  local version="$1"
  shift
  UV_PROJECT_ENVIRONMENT="$WORK/python-$version" $UV run --python "$version" --group dev pytest "$@"
}
