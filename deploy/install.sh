#!/bin/sh
# A new environment with a packaged pipeline, ONNX Runtime and the service, and nothing else:
#
#     deploy/install.sh FOLDER_OF_WHEELS ENVIRONMENT
#
# The folder is what `package` has filled: the pipeline's wheel and the plugin's.
set -eu
here=$(dirname "$0")
wheels=$1
target=$2

python3 -m venv --without-pip "$target"
python3 -m pip --python "$target/bin/python" install --no-cache-dir --disable-pip-version-check \
    --root-user-action ignore --constraint "$here/requirements.txt" --find-links "$wheels" \
    "$wheels"/*.whl "spacy-bert-zh[onnx,serve]"

# These carry 120 MB of what only a debugger reads. Others are left alone: numpy's libraries
# can't be loaded any more once it is gone.
for package in blis cymem murmurhash preshed spacy srsly thinc; do
    find "$target" -path "*/site-packages/$package/*" -name "*.so" -exec strip --strip-debug {} +
done
