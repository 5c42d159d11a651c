#!/usr/bin/env bash
# With the theme variant "auto" a page of Solara 1.64.1 has no element for the application, and stays blank.
# Seen: light and dark: the page has the element; auto: it does not, and its script looks for it
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q solara-ui==1.64.1 starlette uvicorn httpx websockets rich ipykernel jinja2
cat >"$work/app.py" <<'END'
import solara


@solara.component
def Page():
    solara.Text("hello")
END
cat >"$work/look.py" <<'END'
import os
import sys

os.environ["SOLARA_APP"] = sys.argv[1]
os.environ["SOLARA_TELEMETRY_MIXPANEL_ENABLE"] = "False"

import solara
from starlette.testclient import TestClient

from solara.server.settings import ThemeVariant, theme
from solara.server.starlette import app

found = {}
with TestClient(app) as client:
    for variant in ThemeVariant:
        theme.variant = variant
        page = client.get("/").text
        found[variant.value] = '<div id="app"' in page, "'#app'" in page
        print(f"solara {solara.__version__}, {variant.value}: "
              f"the page has the element: {found[variant.value][0]}, "
              f"its script looks for it: {found[variant.value][1]}")
expected = {"light": (True, True), "dark": (True, True), "auto": (False, True)}
sys.exit(found != expected)
END
cd "$work" && "$work/venv/bin/python" look.py "$work/app.py" 2>/dev/null
