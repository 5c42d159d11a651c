// The page "Run it here": loads Python into a worker at a click, and shows what it says.
(() => {
    const root = document.querySelector(".run");
    const said = root.querySelector(".run-said");
    const start = root.querySelector("button");
    const parts = JSON.parse(root.dataset.parts);
    const base = new URL("pyodide/", document.baseURI).href;
    const BUTTONS = {
        drop: "The peer hangs up",
        refuse: "Hang up, and refuse the next two dials with 503",
        reconnect: "A new session",
        disconnect: "Close, and stay away",
        connect: "Connect, at once",
    };
    const LINES = 8;

    if (location.protocol === "file:") {
        start.disabled = true;
        said.textContent = "A browser loads no Python for a page that was opened as a file. "
            + "Serve the folder of this site, for example by `python -m http.server`.";
        return;
    }
    start.addEventListener("click", () => {
        const worker = new Worker(new URL("javascripts/run-worker.js", document.baseURI), { type: "module" });
        const progress = element("progress");
        progress.max = Object.values(parts).reduce((sum, bytes) => sum + bytes);
        start.replaceWith(progress);
        const shown = { load: (bytes) => { progress.value += bytes; }, say, fail };
        shown.ready = (seconds) => Object.assign(shown, ready(worker, progress, seconds));
        worker.addEventListener("message", ({ data: [what, ...values] }) => shown[what](...values));
        worker.addEventListener("error", (event) => fail(event.message || "the worker did not start"));
        worker.postMessage({ base, parts: Object.keys(parts) });
    });

    function say(text) {
        root.querySelector("progress")?.removeAttribute("value"); // it is all here, and takes a while yet
        said.textContent = text;
    }

    function fail(text) {
        root.classList.add("run-failed");
        root.querySelector("progress")?.remove();
        say(`It did not start: ${text}`);
    }

    // Draws the demo, and returns what shows its parts.
    function ready(worker, progress, seconds) {
        const badge = element("span", "run-badge");
        badge.setAttribute("role", "status");
        const keys = element("div", "run-keys");
        for (const [name, title] of Object.entries(BUTTONS)) {
            const key = element("button", "md-button", name);
            key.title = title;
            key.addEventListener("click", () => worker.postMessage(name));
            keys.append(key);
        }
        const table = element("table", "run-rows");
        table.createTHead().innerHTML = "<tr><th>what</th><th>price</th></tr>";
        const body = table.createTBody();
        const lines = element("ol", "run-lines");
        progress.replaceWith(badge, keys, table, lines);
        say(`Python, started in ${seconds.toFixed(1)} s. The peer is scripted and lives in the worker of this page.`);
        return {
            badge(text, tone) {
                badge.textContent = text;
                badge.dataset.tone = tone;
            },
            line(text) {
                lines.append(element("li", "", `${new Date().toTimeString().slice(0, 8)} ${text}`));
                while (lines.children.length > LINES) lines.firstChild.remove();
            },
            rows(rows) { for (const row of rows) put(body, row); },
        };
    }

    // Writes a row by its key; the rows are in order of these.
    function put(body, [key, price]) {
        let row = [...body.rows].find((each) => each.dataset.key === key);
        if (row === undefined) {
            const after = [...body.rows].find((each) => each.dataset.key > key);
            row = element("tr");
            row.dataset.key = key;
            row.append(element("td", "", key), element("td"));
            body.insertBefore(row, after ?? null);
        }
        row.dataset.moved = Number(price) < Number(row.cells[1].textContent || price) ? "down" : "up";
        row.cells[1].textContent = price;
    }

    function element(tag, className = "", text = "") {
        return Object.assign(document.createElement(tag), { className, textContent: text });
    }
})();
