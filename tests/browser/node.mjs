// The harness in Node: one line of JSON for each word.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { start } from "./harness.mjs";

const [, , modules, site, source] = process.argv;
const require = createRequire(`${modules}/`);
const { loadPyodide } = await import(pathToFileURL(require.resolve("pyodide/pyodide.mjs")));
// Node itself tells nobody of its life; a test does, with events of Node's own.
const life = new EventTarget();
for (const name of ["addEventListener", "removeEventListener", "dispatchEvent"]) {
    globalThis[name] = life[name].bind(life);
}
const mount = (pyodide) => {
    for (const [at, root] of [["/site", site], ["/source", source]]) {
        pyodide.FS.mkdirTree(at);
        pyodide.FS.mount(pyodide.FS.filesystems.NODEFS, { root }, at);
    }
};
const say = (word) => process.stdout.write(`${JSON.stringify(word)}\n`);
const tell = await start(loadPyodide, mount, say);
for await (const line of createInterface({ input: process.stdin })) tell(JSON.parse(line));
process.exit(0);
