# Sourced by the scripts beside it. Goes to the repository's root and offers:
#   $python            the Python of the virtual environment: .venv, or the folder in FASTNN_VENV
#   install [GROUP]    makes that environment if need be, and installs the package, editable, with a dependency group
#   absolute PATH      the path as seen from the caller's folder
#   fail SENTENCE      ends the script

set -euo pipefail
unset VIRTUAL_ENV PYTHONPATH PYTHONHOME

absolute() { case $1 in /*) printf '%s' "$1" ;; *) printf '%s/%s' "$caller" "$1" ;; esac; }
fail() { printf '%s: %s\n' "$0" "$*" >&2; exit 1; }

caller=$PWD
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$(absolute "${FASTNN_VENV:-$root/.venv}")
python=$venv/bin/python
cd "$root"

make_environment() {
    local base=${PYTHON:-python3}
    local remedy="install it, or name another one: PYTHON=/path/to/python3 $0"
    command -v "$base" >/dev/null || fail "fastnn needs Python 3.11 or newer, and there is no $base; $remedy"
    "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "fastnn needs Python 3.11 or newer, and $base is $("$base" --version 2>&1); $remedy"
    # --clear empties the folder, so it must be ours: absent, or an environment that was left unfinished.
    [ ! -e "$venv" ] || [ -f "$venv/pyvenv.cfg" ] || fail "$venv is there and is no virtual environment; remove it"
    "$base" -m venv --clear "$venv" ||
        fail "$base cannot make a virtual environment; install its venv module (Debian: apt install python3-venv)"
}

install() {
    local group=${1:-} stamp=$venv/fastnn-${1:-package}.installed now
    now=$(echo "$root" && cat pyproject.toml && grep '^__version__' fastnn/_version.py)
    if [ -x "$python" ] && [ -f "$stamp" ] && [ "$now" = "$(cat "$stamp")" ]; then return; fi

    echo "installing fastnn${group:+ and what \"$group\" needs} in $venv" >&2
    if ! { [ -x "$python" ] && "$python" -m pip --version >/dev/null 2>&1; }; then make_environment; fi
    local pip=("$python" -m pip install --quiet --disable-pip-version-check)
    if [ -n "$group" ]; then
        "${pip[@]}" 'pip>=25.1' # the first that knows --group; Python 3.11 and 3.12 bring an older one
        "${pip[@]}" --editable . --group "$group"
    else
        "${pip[@]}" --editable .
    fi
    printf '%s\n' "$now" >"$stamp"
}
