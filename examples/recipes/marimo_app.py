"""marimo: `python -m marimo run examples/recipes/marimo_app.py`."""

import marimo

app = marimo.App()


@app.cell
def _():  # type: ignore[no-untyped-def]
    import anywidget
    import marimo as mo
    import traitlets

    from examples.recipes.the_store import store  # a store made in a cell is one for each tab
    from heimdall_reactive.bindings import badge, message_line
    from heimdall_reactive.bindings.traitlets import to_trait

    class Live(anywidget.AnyWidget):
        _esm = """export default { render({ model, el }) {
            const show = () => { el.innerText = model.get("status") + "\\n" + model.get("newest") }
            model.on("change", show); show() } }"""
        status = traitlets.Unicode().tag(sync=True)
        newest = traitlets.Unicode().tag(sync=True)

    live = Live()
    to_trait(badge(store), live, "status", select=str)
    to_trait(store.last_message, live, "newest", select=message_line)
    mo.ui.anywidget(live)
    return


if __name__ == "__main__":
    app.run()
