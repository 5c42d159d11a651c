// A table by key and a plot: for anywidget (notebooks, marimo, Solara), and as a component of Streamlit.
const TONES = { good: "#1A7F5A", busy: "#B4530A", idle: "#5F6670", bad: "#B3261E" };
const HTML = `<style>
    .market { font: 14px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 0 auto; padding: 8px 16px }
    .market header { display: flex; justify-content: space-between; align-items: center; margin: 8px 0 }
    .market h2 { font-size: 20px; font-weight: 500; margin: 0 }
    .market .status { padding: 2px 12px; border-radius: 10px; color: white; font-size: 13px }
    .market main { display: flex; flex-wrap: wrap; gap: 16px; padding: 0 }
    .market .rows { flex: 1 1 240px; height: 384px; overflow-y: auto; contain: strict }
    .market table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
    .market thead { position: sticky; top: 0; backdrop-filter: blur(12px) }
    .market th, .market td { padding: 3px 12px; text-align: left; border-bottom: 1px solid #8883 }
    .market :is(th, td):last-child { text-align: right }
    .market canvas { flex: 4 1 300px; min-width: 0; height: 384px; contain: strict }
</style>
<div class="market">
    <header><h2>Market</h2><span class="status"></span></header>
    <main>
        <div class="rows"><table><thead><tr><th>Symbol</th><th>Price</th></tr></thead><tbody></tbody></table></div>
        <canvas></canvas>
    </main>
    <span class="newest" hidden></span>
</div>`;

function render({ model, el }) {
    el.innerHTML = HTML;
    const [status, body, canvas, newest] = [".status", "tbody", "canvas", ".newest"].map((each) => el.querySelector(each));
    const cells = new Map(); // of the prices, by key

    function showStatus() {
        status.textContent = model.get("status"); // it may quote the server: a text, never HTML
        status.style.background = TONES[model.get("tone")];
    }

    function showRows() {
        const { prices: rows, newest: sent } = JSON.parse(model.get("rows")), before = cells.size;
        for (const [symbol, cell] of cells) if (!(symbol in rows)) { cell.parentNode.remove(); cells.delete(symbol); }
        for (const symbol in rows) {
            if (!cells.has(symbol)) {
                const row = body.insertRow();
                row.insertCell().textContent = symbol;
                cells.set(symbol, row.insertCell());
            }
            const cell = cells.get(symbol), price = rows[symbol].toFixed(2);
            if (cell.textContent !== price) cell.textContent = price;
        }
        newest.textContent = sent;
        if (cells.size > before) body.append(...[...cells.keys()].sort().map((key) => cells.get(key).parentNode));
    }

    function showMinute() {
        const [x, y] = JSON.parse(model.get("minute")), scale = devicePixelRatio;
        const [width, height] = [canvas.clientWidth, canvas.clientHeight];
        if (x.length < 2 || !width) return;
        [canvas.width, canvas.height] = [width * scale, height * scale];
        const pen = canvas.getContext("2d"), [left, top, right, bottom] = [48, 12, width - 8, height - 28];
        const seen = y.filter((value) => value !== null);  // null: the line is broken
        const [low, high, end] = [Math.min(...seen), Math.max(...seen), x.at(-1)];
        const across = (time) => right - (end - time) / 60 * (right - left);
        const down = (value) => bottom - (value - low) / (high - low || 1) * (bottom - top);
        pen.scale(scale, scale);
        pen.font = "12px system-ui, sans-serif";
        pen.fillStyle = getComputedStyle(el).color;
        pen.strokeStyle = "#8885";
        for (let part = 0; part <= 4; part++) {
            const value = low + (high - low) * part / 4, time = end - 60 + 15 * part;
            pen.strokeRect(left, down(value), right - left, 0);
            pen.textAlign = "right";
            pen.fillText(value.toFixed(1), left - 8, down(value) + 4);
            pen.textAlign = part === 4 ? "right" : "center";
            pen.fillText(new Date(time * 1000).toLocaleTimeString([], { hour12: false }), across(time), height - 8);
        }
        pen.strokeStyle = "#3B82F6";
        pen.lineWidth = 1.5;
        pen.beginPath();
        let broken = true;
        x.forEach((time, n) => {
            if (y[n] !== null) pen[broken ? "moveTo" : "lineTo"](across(time), down(y[n]));
            broken = y[n] === null;
        });
        pen.stroke();
    }

    const shown = { "change:status": showStatus, "change:tone": showStatus, "change:rows": showRows, "change:minute": showMinute };
    const due = new Set(); // what the next frame draws: a page that is slow draws the newest, and a hidden one nothing
    function draw() { for (const show of due) show(); due.clear(); }
    for (const [change, show] of Object.entries(shown)) {
        show();
        shown[change] = () => { if (!due.size) requestAnimationFrame(draw); due.add(show); };
        model.on(change, shown[change]);
    }
    const size = new ResizeObserver(showMinute);
    size.observe(canvas);
    return () => { size.disconnect(); for (const [change, show] of Object.entries(shown)) model.off(change, show); };
}

// Streamlit calls again with new data, and `model` stands for what a widget has.
function update({ data, parentElement }) {
    parentElement.data = data;
    if (parentElement.calls) {
        for (const call of parentElement.calls) call();
    } else {
        const calls = parentElement.calls = [];
        const get = (name) => parentElement.data[name], on = (_, call) => calls.push(call);
        render({ el: parentElement, model: { get, on } });
    }
}

export default (component) => (component ? update(component) : { render });
