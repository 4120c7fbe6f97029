/* The search of a page that was opened from disk. Browsers start no Worker from file: addresses, so here a hidden
   frame stands for one: what the worker's script posts reaches the page as a message, and the other way round.
   The theme's worker looks for `IFrameWorker` in its parent, and for the one script with an address in its frame. */
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      this.onmessage = null;
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.title = "search";
      document.body.appendChild(this.frame);
      const inner = this.frame.contentWindow;
      inner.document.open();
      inner.document.write("<!doctype html><html><body></body></html>");
      inner.document.close();
      inner.postMessage = data => this.deliver(data);
      inner.importScripts = (...urls) => urls.reduce((done, next) => done.then(() => load(inner, next)), Promise.resolve());
      load(inner, url).then(() => {
        this.ready = true;
        this.waiting.splice(0).forEach(data => this.postMessage(data));
      });
    }
    deliver(data) {
      const event = new MessageEvent("message", { data });
      this.dispatchEvent(event);
      if (this.onmessage) this.onmessage(event);
    }
    postMessage(data) {
      if (!this.ready) return void this.waiting.push(data);
      const inner = this.frame.contentWindow;
      inner.dispatchEvent(new inner.MessageEvent("message", { data }));
    }
    terminate() { this.frame.remove(); }
  };
  const load = (inner, url) => new Promise((done, failed) => {
    const script = inner.document.createElement("script");
    script.src = url;
    script.onload = done;
    script.onerror = failed;
    inner.document.body.appendChild(script);
  });
  window.Worker = window.IFrameWorker;
}
