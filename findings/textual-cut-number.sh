#!/usr/bin/env bash
# A cell of Textual 8.2.8's DataTable whose new value is wider than its column shows the first
# digits alone, without an ellipsis: a price that rises from 9.75 to 12345.75 is read as 1234.
# update_cell() does not widen the column unless it is told to, and adding a row does.
# Seen: 9.75 -> '9.75', 12345.75 -> '1234', with update_width=True '12345.75', as a new row '12345.75'
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q textual==8.2.8
"$work/venv/bin/python" - <<'PY'
import asyncio

from textual.app import App, ComposeResult
from textual.widgets import DataTable


class Prices(App[None]):
    def compose(self) -> ComposeResult:
        yield DataTable(show_header=False)


async def shown(change=None) -> str:
    """Return the last row of the table as it is painted."""
    app = Prices()
    async with app.run_test() as pilot:
        table = app.query_one(DataTable)
        table.add_column("", key="price")  # as wide as its cells
        table.add_row("9.75", key="A")
        await pilot.pause()
        if change:
            change(table)
            await pilot.pause()
        return table.render_line(table.row_count - 1).text.strip()


async def main() -> None:
    seen = [
        await shown(),
        await shown(lambda table: table.update_cell("A", "price", "12345.75")),
        await shown(lambda table: table.update_cell("A", "price", "12345.75", update_width=True)),
        await shown(lambda table: table.add_row("12345.75")),
    ]
    first, cut, wide, row = map(repr, seen)
    print(f"9.75 -> {first}, 12345.75 -> {cut}, with update_width=True {wide}, as a new row {row}")
    raise SystemExit(seen != ["9.75", "1234", "12345.75", "12345.75"])


asyncio.run(main())
PY
