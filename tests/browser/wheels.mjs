// Installs our wheel with micropip in Pyodide under Node, from an index of a folder of wheels, and
// prints what a program returns.
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [, , modules, folder, script] = process.argv;
const require = createRequire(`${modules}/`);
const { loadPyodide } = await import(pathToFileURL(require.resolve("pyodide/pyodide.mjs")));

// The index: a page of links for each project (PEP 503), and the files.
const names = readdirSync(folder);
const normal = (name) => name.split("-")[0].toLowerCase().replaceAll(/[-_.]+/g, "-");
const server = createServer((request, response) => {
    const [, kind, name] = request.url.split("/");
    if (kind === "files") return response.end(readFileSync(join(folder, name)));
    const links = names.filter((each) => normal(each) === name).map((each) => `<a href="/files/${each}">${each}</a>`);
    response.writeHead(links.length ? 200 : 404, { "Content-Type": "text/html" });
    return response.end(`<!DOCTYPE html><html><body>${links.join("\n")}</body></html>`);
});
await new Promise((resolve) => { server.listen(0, "127.0.0.1", resolve); });
const index = `http://127.0.0.1:${server.address().port}`;

const pyodide = await loadPyodide();
for (const name of names.filter((each) => /^(micropip|packaging)-/.test(each))) {
    pyodide.unpackArchive(new Uint8Array(readFileSync(join(folder, name))), "wheel");
}
await pyodide.runPythonAsync(`
import micropip
await micropip.install("heimdall-reactive", index_urls="${index}/simple/{package_name}/")`);
process.stdout.write(`${await pyodide.runPythonAsync(script)}\n`);
process.exit(0);
