#!/usr/bin/env bash
# Install the CPU build of torch into a virtual environment, without its dependencies (the locks
# hold those). First choice: a CPU wheel that pip is configured to find (an offline mirror, a
# folder of wheels). Otherwise: the CPU index that uv knows.
# Usage: images/install_torch.sh TOOLS_VENV TARGET_VENV   (TOOLS_VENV has pip and uv)
set -euo pipefail
tools=$1 target=$2
torch=$(grep -o '^torch==[0-9.]*' "$(dirname "$0")/torch.in")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# With bytecode: uv compiles only what a call installs, and without it an import takes twice as long.
install() {
    "$tools/bin/uv" pip install --quiet --python "$target/bin/python" --compile-bytecode --no-deps "$@"
}

if "$target/bin/python" -c 'import importlib.metadata as m, sys
sys.exit("torch==" + m.version("torch").split("+")[0] != sys.argv[1])' "$torch" 2>/dev/null; then
    exit 0
elif "$tools/bin/python" -m pip download --quiet --no-deps --dest "$work" "$torch+cpu" 2>/dev/null; then
    install "$work"/torch-*.whl
else
    install --torch-backend cpu "$torch"
fi
