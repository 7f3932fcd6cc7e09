#!/bin/sh
# The README's test command: on a Debian machine, as root, with Python 3.11 and the package indexes, installs what it needs (the
# engines too), lints, type-checks and runs every test. It can be repeated. Arguments go to pytest.
set -eu
. "$(dirname "$0")/../fixtures/environment.sh"

# What compiles, takes apart and runs the tests' libraries: of this machine, and of the architectures an image may have.
apt_install gcc g++ libc6-dev binutils mount zstd gdb elfutils dpkg-dev qemu-user-static \
    gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross \
    gcc-i686-linux-gnu libc6-dev-i386-cross gcc-powerpc64le-linux-gnu libc6-dev-ppc64el-cross \
    gcc-riscv64-linux-gnu libc6-dev-riscv64-cross gcc-s390x-linux-gnu libc6-dev-s390x-cross \
    mmdebstrap podman catatonit chromium chromium-driver util-linux-extra
started=
stop_engines() {
    # An engine that was running before goes on running.
    for kind in $started; do
        if [ "$kind" = graphdriver ]; then
            kill "$(cat /var/run/docker.pid)" 2>/dev/null || true
        else
            "$checkout/fixtures/engine-$kind.sh" --stop >/dev/null || true
        fi
    done
}
trap stop_engines EXIT
trap 'exit 130' INT TERM HUP
engine=$("$checkout/fixtures/engine.sh")
[ "$engine" = "engine was running" ] || started=graphdriver
for kind in containerd podman; do
    engine=$("$checkout/fixtures/engine-$kind.sh")
    case $engine in "engine started"*) started="$started $kind" ;; esac
done
environment tests "pip>=25.1"
"$venv/bin/pip" install --quiet --disable-pip-version-check "$checkout" \
    --group "$checkout/pyproject.toml:test" --group "$checkout/pyproject.toml:lint"

cd "$checkout"
"$venv/bin/ruff" check
"$venv/bin/ruff" format --check
"$venv/bin/mypy"
# Not `python -m pytest`: that would find slimmer in the checkout, and what is tested is what is installed.
PATH="$venv/bin:$PATH" "$venv/bin/pytest" "$@"
