#!/usr/bin/env bash
# Importing Streamlit 1.67.0 sets MPLBACKEND to Agg for the process and all that it starts. A notebook
# that is run from there by nbclient 0.10.4 shows no figure: its kernel chooses the inline backend of
# Matplotlib 3.11.2 only where that variable is not set. Nothing warns.
# Seen: figures without Streamlit: 1; with it: 0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q streamlit==1.67.0 nbclient==0.10.4 ipykernel==7.2.0 matplotlib==3.11.2
cat >"$work/figures.py" <<'PY'
import importlib
import sys

import nbclient
import nbformat

for name in sys.argv[1:]:
    importlib.import_module(name)
cell = nbformat.v4.new_code_cell("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
notebook = nbformat.v4.new_notebook(cells=[cell])
nbclient.NotebookClient(notebook).execute()
print(sum("image/png" in output.get("data", {}) for output in notebook.cells[0].outputs))
PY
figures() { env -u MPLBACKEND "$work/venv/bin/python" "$work/figures.py" "$@" 2>/dev/null | tail -1; }
seen="figures without Streamlit: $(figures); with it: $(figures streamlit)"
echo "$seen"
test "$seen" = "figures without Streamlit: 1; with it: 0"
