#!/usr/bin/env bash
# Compile images/<set>/requirements.in into requirements.txt: hashed, and all sets of .venv agreeing.
# Usage: images/lock.sh UV PYTHON [uv options, such as --upgrade]
# Versions in images/constraints.txt are kept unless an option says otherwise.
set -euo pipefail
uv=$1 python=$2
shift 2
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The CPU build of torch: from wherever pip finds it, else from the index that uv knows.
torch=$(grep -o '^torch==[0-9.]*' torch.in)
if "$python" -m pip download --quiet --no-deps --dest "$work" "$torch+cpu" 2>/dev/null; then
    source=(--find-links "$work")
else
    source=(--torch-backend cpu)
fi

compile() {
    "$uv" pip compile --quiet --no-header --no-annotate --python-version 3.11 \
        --python-platform x86_64-manylinux_2_28 --override overrides.txt \
        "${source[@]}" "$@"
}
hashed=(--generate-hashes --no-emit-package torch --no-emit-package triton)

shared=(base train evaluate app dev)
compile "${shared[@]/%//requirements.in}" --output-file constraints.txt "$@"
sed -i '/^torch==/d;/^triton==/d' constraints.txt
for name in "${shared[@]}"; do
    compile "$name/requirements.in" --constraints constraints.txt "${hashed[@]}" \
        --output-file "$name/requirements.txt"
done

compile serve/requirements.in --constraints torch.in "${hashed[@]}" \
    --output-file serve/requirements.txt "$@"
compile quantize/requirements.in --constraints torch.in "${hashed[@]}" \
    --output-file quantize/requirements.txt "$@"
compile deepeval/requirements.in "${hashed[@]}" --output-file deepeval/requirements.txt "$@"
for extra in dev/requirements-files train/requirements-deepspeed; do
    compile "$extra.in" --no-deps --generate-hashes --output-file "$extra.txt" "$@"
done
