// A page that was opened as a file may start no Worker, so there the search runs in a hidden frame.
// The theme's plugin for offline sites asks for such a script, and would else take it from another host.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.addEventListener("load", () => this.run(frame.contentWindow, url), { once: true });
      document.body.append(frame);
    }

    run(inside, url) {
      const answer = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      inside.postMessage = (data) => setTimeout(answer, 0, data);
      inside.importScripts = (...urls) => Promise.all(urls.map((one) => load(inside, one)));
      load(inside, url).then(() => {
        const waiting = this.waiting;
        this.postMessage = (data) => ask(inside, data);
        waiting.forEach((data) => ask(inside, data));
      });
    }

    postMessage(data) {
      this.waiting.push(data);
    }
  };

  function ask(inside, data) {
    setTimeout(() => inside.dispatchEvent(new MessageEvent("message", { data })), 0);
  }

  function load(inside, url) {
    return new Promise((resolve, reject) => {
      const script = inside.document.createElement("script");
      script.src = url;
      script.onload = resolve;
      script.onerror = reject;
      inside.document.head.append(script);
    });
  }
}
