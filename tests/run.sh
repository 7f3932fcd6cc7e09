#!/bin/sh
# The README's test command: on a Debian machine, as root, with Python 3.11 and the package indexes, installs what it needs (the
# Docker engine too), lints, type-checks and runs every test. It can be repeated. Arguments go to pytest.
set -eu
. "$(dirname "$0")/../fixtures/environment.sh"

apt_install gcc libc6-dev binutils mount
engine=$("$checkout/fixtures/engine.sh")
stop_engine() {
    # An engine that was running before goes on running.
    [ "$engine" = "engine was running" ] || kill "$(cat /var/run/docker.pid)" 2>/dev/null || true
}
trap stop_engine EXIT
environment tests "pip>=25.1"
"$venv/bin/pip" install --quiet --disable-pip-version-check "$checkout" \
    --group "$checkout/pyproject.toml:test" --group "$checkout/pyproject.toml:lint"

cd "$checkout"
"$venv/bin/ruff" check
"$venv/bin/ruff" format --check
"$venv/bin/mypy"
# Not `python -m pytest`: that would find slimmer in the checkout, and what is tested is what is installed.
PATH="$venv/bin:$PATH" "$venv/bin/pytest" "$@"
