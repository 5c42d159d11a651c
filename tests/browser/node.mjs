// Runs the scenarios of scenarios.py in Pyodide under Node. One line of JSON in for each: its name
// and the server's URL; lines out: what it asks of the test, and its result.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [, , modules, site, source] = process.argv;
const require = createRequire(`${modules}/`);
const { loadPyodide } = await import(pathToFileURL(require.resolve("pyodide/pyodide.mjs")));
const began = performance.now();
const pyodide = await loadPyodide();
for (const [at, root] of [["/site", site], ["/source", source]]) {
    pyodide.FS.mkdirTree(at);
    pyodide.FS.mount(pyodide.FS.filesystems.NODEFS, { root }, at);
}
const say = (word) => process.stdout.write(`${JSON.stringify(word)}\n`);
const answers = [];
globalThis.ask = (what) => new Promise((resolve) => { answers.push(resolve); say({ ask: what }); });
pyodide.runPython(`import sys
sys.dont_write_bytecode = True
sys.path[:0] = ['/site', '/source', '/source/tests/browser']`);
const run = pyodide.runPython("import scenarios; scenarios.run");
say({ ready: Math.round(performance.now() - began) });
for await (const line of createInterface({ input: process.stdin })) {
    const { name, url, answer } = JSON.parse(line);
    if (answer !== undefined) answers.shift()(answer);
    else run(name, url).then((result) => say({ done: result }), (error) => say({ failed: String(error) }));
}
process.exit(0);
