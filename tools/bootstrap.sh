#!/bin/sh
# Sets up .venv with refcodec and its extras, and the Debian programs that the hardware tests use.
# A second run is instant: .venv/.bootstrapped records what was set up, and where.
# The environment variable PYTHON names the interpreter to use (default: the first of 3.10 to 3.13 on the PATH that runs).
set -eu
cd "$(dirname "$0")/.."

stamp=.venv/.bootstrapped
extras=test,calibrate,report,interop,oracles,cluster,dev
programs="iverilog ghdl verilator g++ make" # each is also the name of its Debian package

say() { echo "bootstrap: $*"; }

# A program can be there and not run: ghdl without a code generator, say. iverilog knows -V alone.
runs() { "$1" --version >/dev/null 2>&1 </dev/null || "$1" -V >/dev/null 2>&1 </dev/null; }

missing_programs() {
    for program in $programs; do
        runs "$program" || printf ' %s' "$program"
    done
}

# What has to be the same for a set-up to be still good.
fingerprint() { # reads $missing
    pwd -P
    cksum setup.cfg pyproject.toml tools/bootstrap.sh
    echo "missing:$missing"
}

# A version manager's shim may exist and yet not run, so every candidate is run.
is_supported() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }
has_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# Prints the first interpreter on the PATH that satisfies all the tests named as arguments.
find_python() {
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        case $name in */*) folders=$(dirname "$name") ;; *) folders=$PATH ;; esac
        old_ifs=$IFS
        IFS=:
        for folder in $folders; do
            candidate=$folder/$(basename "$name")
            for check in "$@"; do
                "$check" "$candidate" || continue 2
            done
            IFS=$old_ifs
            echo "$candidate"
            return
        done
        IFS=$old_ifs
    done
    return 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif [ -t 0 ]; then sudo "$@"; else sudo -n "$@"; fi
}

# Installs Debian packages one by one, so that one that is not to be had does not hold back the others.
install_packages() {
    command -v apt-get >/dev/null || return 0
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || return 0
    say "installing Debian packages: $*"
    if [ -z "${updated:-}" ]; then
        updated=yes
        as_root apt-get update -qq >/dev/null 2>&1 </dev/null || say "apt-get update failed; going on with the old lists"
    fi
    for package in "$@"; do
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" \
            >/dev/null 2>&1 || say "could not install $package"
    done
}

make_venv() {
    if [ -x .venv/bin/python ] && is_supported .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1; then
        return
    fi
    if ! python=$(find_python is_supported has_venv); then
        if python=$(find_python is_supported); then
            package=python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
        else
            package="python3 python3-venv"
        fi
        install_packages $package
        if ! python=$(find_python is_supported has_venv); then
            say "needs a Python from 3.10 to 3.13 with its venv module; on Debian or Ubuntu: apt-get install $package" >&2
            exit 1
        fi
    fi
    say "creating .venv with $("$python" -V 2>&1)"
    "$python" -m venv --clear .venv
}

report_missing() {
    [ -z "$missing" ] || say "not installed, what needs them is skipped:$missing"
}

missing=$(missing_programs)
if [ -f "$stamp" ] && [ -x .venv/bin/refcodec ] && [ "$(cat "$stamp")" = "$(fingerprint)" ]; then
    report_missing
    exit 0
fi

if [ -n "$missing" ]; then
    install_packages $missing
    missing=$(missing_programs)
fi
make_venv
say "installing refcodec[$extras] into .venv"
.venv/bin/python -m pip install -qq --disable-pip-version-check --editable ".[$extras]"
report_missing
fingerprint >"$stamp"
say "ready"
