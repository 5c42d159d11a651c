// Starts Python, loads and imports the library, connects, and returns the milliseconds of each.
export async function start(loadPyodide, options, url) {
    const marks = [performance.now()];
    const mark = () => { marks.push(performance.now()); };
    const python = await loadPyodide(options);
    mark();
    await python.loadPackage("heimdall-reactive", { messageCallback: () => {} });
    mark();
    python.runPython("from heimdall_reactive import use_websocket");
    mark();
    python.globals.set("url", url);
    await python.runPythonAsync("store = use_websocket(url)\nawait store.wait_connected(timeout=60)");
    mark();
    await python.runPythonAsync("await store.aclose()");
    return marks.slice(1).map((each, index) => each - marks[index]);
}

// node browser_start.mjs FOLDER URL
if (globalThis.process?.versions?.node) {
    const { pathToFileURL } = await import("node:url");
    const [, , folder, url] = process.argv;
    const { loadPyodide } = await import(`${pathToFileURL(folder)}/pyodide.mjs`);
    const options = { indexURL: folder, packageBaseUrl: folder };
    process.stdout.write(`${JSON.stringify(await start(loadPyodide, options, url))}\n`);
    process.exit(0);
}
