"""The small parts that the page is made of: native elements with classes of `style.css`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Generic, TypeVar

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

__all__ = [
    "Segments",
    "Text",
    "box",
    "button",
    "card",
    "jump_bar",
    "labelled",
    "search_field",
    "set_disabled",
]

T = TypeVar("T")

TYPED: Final = "(event) => emit(event.target.value)"


class Text(TextElement):
    """An element with a text.

    Args:
        tag: such as `span`.
        text: never read as HTML.
        classes: of the style sheet.
    """

    def __init__(self, tag: str, text: str = "", classes: str = "") -> None:
        super().__init__(tag=tag, text=text)
        self.classes(classes)


def box(classes: str, tag: str = "div") -> ui.element:
    """Make an element without a text."""
    return ui.element(tag).classes(classes)


def jump_bar(*targets: tuple[str, str, str]) -> None:
    """Make a bar of links to parts of the page, for screens that are small.

    Args:
        targets: id of the part, icon, and what the link says.
    """
    with labelled("jump-bar", "parts of this page", "nav"):
        for target, icon, text in targets:
            with ui.element("a").props(f'href="#{target}"').classes("jump"):
                ui.icon(icon).props("aria-hidden=true")
                Text("span", text)


def labelled(classes: str, label: str, tag: str = "div", role: str = "") -> ui.element:
    """Make an element with a name for screen readers."""
    made = box(classes, tag)
    made.props["aria-label"] = label
    if role:
        made.props["role"] = role
    return made


@contextmanager
def card(title: str, classes: str = "", anchor: str = "") -> Iterator[ui.element]:
    """Make a card; yield its head, to the right of the title.

    Args:
        title: on it.
        classes: of the style sheet.
        anchor: its id, for links to it.
    """
    with labelled(f"card {classes}", title, "section") as made:
        if anchor:
            made.props["id"] = anchor
        with box("card-head"):
            Text("h2", title)
            head = box("card-tools")
        yield head


def button(
    text: str, act: Callable[[], object], *, icon: str = "", tip: str = "", classes: str = ""
) -> ui.element:
    """Make a button; `act` may be a coroutine function."""
    with ui.element("button").classes(f"btn {classes}").props("type=button") as made:
        if icon:
            ui.icon(icon).props("aria-hidden=true")
        if text:
            Text("span", text)
    if tip:
        made.props["title"] = tip
        if not text:
            made.props["aria-label"] = tip
    made.on("click", lambda: act())
    return made


def search_field(label: str, on_change: Callable[[str], object]) -> ui.element:
    """Make a field for what is searched; what is typed is told when the typing stops."""
    field = ui.element("input").classes("search mono")
    field.props(f'type=search autocomplete=off spellcheck=false placeholder="{label}"')
    field.props["aria-label"] = label
    field.on("input", lambda event: on_change(str(event.args)), js_handler=TYPED, throttle=0.2)
    return field


def set_disabled(element: ui.element, disabled: bool) -> None:
    """Let the browser take no clicks and keys for an element, or take them again."""
    if disabled:
        element.props("disabled")
    else:
        element.props(remove="disabled")


class Segments(Generic[T]):
    """One choice of a few, as buttons side by side.

    Args:
        label: says what is chosen, for screen readers.
        choices: pairs of a value and its name.
        value: chosen at first.
        on_change: called with the value when the user chose another one.
    """

    def __init__(
        self,
        label: str,
        choices: Sequence[tuple[T, str]],
        value: T,
        on_change: Callable[[T], Any] = lambda _: None,
    ) -> None:
        self.value = value
        self._on_change = on_change
        self._buttons: list[tuple[T, ui.element]] = []
        with labelled("segments", label, role="group"):
            for choice, name in choices:
                made = button(name, partial(self._choose, choice), classes="segment")
                self._buttons.append((choice, made))
        self.show(value)

    def show(self, value: T) -> None:
        """Show a value as chosen."""
        self.value = value
        for choice, made in self._buttons:
            made.props["aria-pressed"] = "true" if choice == value else "false"

    def _choose(self, value: T) -> None:
        self.show(value)
        self._on_change(value)
