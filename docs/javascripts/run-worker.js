// Python in a worker, so that the page never waits for it. Loads what the page names, then runs
// live.py: what that shows goes to the page as messages, and the buttons that were pressed come back.
const say = (...words) => postMessage(words);
const files = new Map(); // blobs by file name

self.onmessage = ({ data }) => begin(data).catch((error) => say("fail", String(error.message ?? error)));

async function begin({ base, parts }) {
    const began = performance.now();
    await Promise.all(parts.map((name) => load(base, name)));
    say("say", "Starting Python ...");
    const python = await start(base);
    for (const [name, content] of files) {
        if (name.endsWith(".whl")) python.unpackArchive(await content.arrayBuffer(), "wheel");
    }
    python.FS.writeFile("live.py", await files.get("live.py").text());
    say("say", "Importing the library ...");
    const live = python.pyimport("live");
    const pressed = python.pyimport("asyncio").Queue();
    say("ready", (performance.now() - began) / 1000);
    self.onmessage = ({ data }) => pressed.put_nowait(data);
    await live.main((...words) => say(...words.map((word) => word?.toJs?.() ?? word)), pressed);
}

// Loads a file, and tells of each piece how many bytes have come.
async function load(base, name) {
    const answer = await fetch(base + name);
    if (!answer.ok) throw new Error(`${name}: HTTP ${answer.status}`);
    const pieces = [];
    for (const reader = answer.body.getReader(); ;) {
        const { done, value } = await reader.read();
        if (done) break;
        pieces.push(value);
        say("load", value.length);
    }
    const content = new Blob(pieces);
    if (!name.endsWith(".packed")) return files.set(name, content);
    const unpacked = content.stream().pipeThrough(new DecompressionStream("gzip"));
    return files.set(name.slice(0, -".packed".length), await new Response(unpacked).blob());
}

// Starts Pyodide with what was loaded: nothing is asked for twice, and no server has to know the
// types of its files.
async function start(base) {
    const module = (name) => import(URL.createObjectURL(new Blob([files.get(name)], { type: "text/javascript" })));
    const { loadPyodide } = await module("pyodide.mjs");
    const { default: createPyodideModule } = await module("pyodide.asm.mjs");
    const fetchElsewhere = self.fetch;
    self.fetch = (resource, options) => {
        const name = String(resource.url ?? resource).split("/").pop();
        if (!files.has(name)) return fetchElsewhere(resource, options);
        const type = name.endsWith(".wasm") ? "application/wasm" : "application/octet-stream";
        return Promise.resolve(new Response(files.get(name), { headers: { "Content-Type": type } }));
    };
    const python = await loadPyodide({ indexURL: base, createPyodideModule });
    self.fetch = fetchElsewhere;
    return python;
}
