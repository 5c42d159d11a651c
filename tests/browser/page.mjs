// The harness in a page, or in the worker of one; the test takes what is said from `said`.
import { start } from "./harness.mjs";

const inPage = typeof document !== "undefined";
const mount = async (pyodide) => {
    for (const name of ["site", "source"]) {
        const packed = await (await fetch(`/${name}.zip`)).arrayBuffer();
        pyodide.unpackArchive(packed, "zip", { extractDir: `/${name}` });
    }
};
const said = [];
const say = inPage ? (word) => said.push(word) : (word) => postMessage(word);
if (inPage && new URLSearchParams(location.search).has("worker")) {
    const worker = new Worker("/page.mjs", { type: "module" });
    worker.onmessage = ({ data }) => said.push(data);
    worker.onerror = (error) => said.push({ failed: error.message });
    globalThis.tell = (word) => worker.postMessage(word);
} else {
    const { loadPyodide } = await import("/pyodide/pyodide.mjs");
    globalThis.tell = await start(loadPyodide, mount, say);
    if (!inPage) globalThis.onmessage = ({ data }) => tell(data);
}
if (inPage) globalThis.said = said;
