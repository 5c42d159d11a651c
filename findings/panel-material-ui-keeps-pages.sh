#!/usr/bin/env bash
# Of panel-material-ui 0.16.6 with Panel 1.9.4 no Page is ever released, with all the components in it: each
# follows `panel.state.param.busy`, and that holds its followers as long as the process runs.
# A Column of Panel with the same content is released.
# Seen: 10 made and forgotten: 10 pages are left, and 0 columns
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q panel==1.9.4 panel-material-ui==0.16.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import gc
import sys
import weakref

import panel as pn
import panel_material_ui as ui


def left(make):
    made = weakref.WeakSet()
    for _ in range(10):
        made.add(make())
    gc.collect()
    return len(made)


pages = left(lambda: ui.Page(main=[pn.pane.Str("hello")]))
columns = left(lambda: pn.Column(pn.pane.Str("hello")))
print(f"10 made and forgotten: {pages} pages are left, and {columns} columns")
sys.exit((pages, columns) != (10, 0))
PY
