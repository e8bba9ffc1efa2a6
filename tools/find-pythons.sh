#!/bin/sh
# Prints "3.12 /path/to/python" for every Python that modulus_es supports, one a version, the
# first of them the one to work with: $PYTHON, else `python3` if it fits, else the newest.
# Each is really run, because a name on the PATH may be a shim with nothing behind it, and an
# active virtual environment is looked through, because it may be the one to be made again.
# Without uv it must be able to make environments itself (Debian packs venv apart).
# This is a shell script because before it has run no Python is known.

check='
import os, sys, sysconfig
if not (3, 11) <= sys.version_info[:2] < (3, 14) or sysconfig.get_config_var("Py_GIL_DISABLED"):
    sys.exit(1)
if not sys.argv[1:]:
    import ensurepip, venv
python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
print("%d.%d %s" % (sys.version_info[0], sys.version_info[1], python))
'
uv=$(command -v uv 2>/dev/null)

candidates() {
    [ -n "$PYTHON" ] && echo "$PYTHON"
    echo python3
    for minor in 13 12 11; do
        echo "python3.$minor"
        for root in "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.$minor".*/bin /usr/local/bin /usr/bin \
            /opt/homebrew/bin "/opt/python/3.$minor"*/bin "$HOME/.local/bin"; do
            [ -x "$root/python3.$minor" ] && echo "$root/python3.$minor"
        done
        [ -n "$uv" ] && "$uv" python find --system "3.$minor" 2>/dev/null
    done
}

found=$(
    candidates | while IFS= read -r python; do
        "$python" -c "$check" ${uv:+uv} 2>/dev/null </dev/null
    done | awk '!seen[$1]++'
)
if [ -z "$found" ]; then
    echo "No usable Python 3.11, 3.12 or 3.13 was found." >&2
    echo "Install one with its venv module (Debian: apt-get install python3 python3-venv)," >&2
    echo "or name it: make PYTHON=/path/to/python3.12 ..." >&2
    exit 1
fi
echo "$found"
