"""Contrast of every visible text of a page, as WCAG 2 measures it."""

from __future__ import annotations

from typing import Any

__all__ = ["low_contrasts"]

# Colours come in any notation that `getComputedStyle` has; a canvas makes bytes of all of them.
SCRIPT = """() => {
  const context = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const rgba = colour => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below, alpha) =>
    top.slice(0, 3).map((c, i) => c * alpha + below[i] * (1 - alpha));
  const linear = c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = rgb => {
    const [r, g, b] = rgb.map(c => linear(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const above = element => element.parentElement ?? element.getRootNode().host;
  const path = element => element ? [...path(above(element)), element] : [];
  const probe = document.documentElement.appendChild(document.createElement('i'));
  probe.style.color = 'Canvas';  // white, or black where the page has that scheme
  const canvas = rgba(getComputedStyle(probe).color).slice(0, 3);
  probe.remove();
  const found = [];
  const look = (element, text, colour, style) => {
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height || !element.checkVisibility({visibilityProperty: true})) return;
    let below = canvas, front = null, alpha = 1;
    for (const each of path(element)) {
      const css = getComputedStyle(each), back = rgba(css.backgroundColor);
      alpha *= Number(css.opacity);
      below = over(back, below, back[3] * alpha);
    }
    const ink = rgba(colour);
    front = over(ink, below, ink[3] * alpha);
    const [a, b] = [light(front), light(below)];
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const sign = element.closest('.q-icon, [aria-hidden="true"]') !== null;
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const where = element.className.baseVal ?? element.className;
    found.push({text: text.trim().slice(0, 40), ratio, least: large || sign ? 3 : 4.5, where});
  };
  const within = root => {
    const inner = [...root.querySelectorAll('*')].map(each => each.shadowRoot).filter(Boolean);
    return [root, ...inner.flatMap(within)];
  };
  for (const root of within(document.body)) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const text = walker.currentNode.data, element = walker.currentNode.parentElement;
      if (!text.trim() || !element || element.closest('script, style, noscript')) continue;
      const style = getComputedStyle(element);
      look(element, text, element instanceof SVGElement ? style.fill : style.color, style);
    }
    for (const input of root.querySelectorAll('input, textarea')) {
      const style = getComputedStyle(input, input.value ? null : '::placeholder');
      const text = input.value || input.placeholder;
      if (text) look(input, text, style.color, style);
    }
  }
  return found;
}"""


def low_contrasts(tab: Any, least: int = 20) -> list[str]:
    """Return the texts of a page that are hard to read: below 4.5:1, or 3:1 for large ones.

    Signs, such as icons, count as large (WCAG 1.4.11). A page with fewer texts than `least` is not
    yet there.
    """
    found = tab.evaluate(SCRIPT)
    assert len(found) > least
    return sorted(
        {
            f"{each['text']!r} has {each['ratio']:.2f}:1 in .{each['where']}"
            for each in found
            if each["ratio"] < each["least"]
        }
    )
