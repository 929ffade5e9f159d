#!/bin/sh
# versions.sh lowest-direct|highest [PYTHON]: an environment of its own with the lowest versions that pyproject.toml
# allows, or the newest there are; two lessons and the tests of what leans most on other libraries run in it.
set -eu
cd "$(dirname "$0")/.."
bin=$(mktemp -d)/env/bin
"${2:-python3}" -m venv "${bin%/bin}"
"$bin/python" -m pip install -q uv
"$bin/uv" pip install -q --python "$bin/python" --resolution "$1" -e '.[lab]' 'pytest>=8,<9.2' 'pytest-timeout>=2.3' 'pytest-xdist>=3.7'
"$bin/coursehelpers" run 03 --profile smoke
"$bin/coursehelpers" run 09 --profile smoke
"$bin/python" -m pytest -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder -m 'not long' \
    tests/test_data.py tests/test_exercises.py tests/test_learner.py tests/test_metrics.py tests/test_settings.py tests/test_vision.py
