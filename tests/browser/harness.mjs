// Runs the scenarios in Pyodide: in Node, in a page of a browser, and in a worker of one. A word is
// an object: in comes the name of a scenario with the server's URL, or the answer to what one asked
// the test for; out goes that it asks, or its result.
export async function start(loadPyodide, mount, say) {
    const began = performance.now();
    const pyodide = await loadPyodide();
    await mount(pyodide);
    const answers = [];
    globalThis.ask = (what) => new Promise((resolve) => { answers.push(resolve); say({ ask: what }); });
    pyodide.runPython(`import sys
sys.dont_write_bytecode = True
sys.path[:0] = ['/site', '/source', '/source/tests/browser']`);
    const run = pyodide.runPython("import scenarios; scenarios.run");
    say({ ready: Math.round(performance.now() - began) });
    return ({ name, url, answer }) => {
        if (answer !== undefined) answers.shift()(answer);
        else run(name, url).then((result) => say({ done: result }), (error) => say({ failed: String(error) }));
    };
}
