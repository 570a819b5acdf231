// Lets the site's search run where it is opened from a folder: browsers start no worker from a file. The worker's script runs
// in a hidden frame instead, which takes and sends the same messages. Elsewhere this does nothing.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const script = new URL(url, location), frame = document.createElement("iframe");
      frame.hidden = true;
      frame.srcdoc = `<base href="${script}"><script>
        var postMessage = message => parent.postMessage(message, "*");
        var importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise((done, failed) => {
          const script = Object.assign(document.createElement("script"), {src: url, onload: done, onerror: failed});
          document.head.append(script);
        })), Promise.resolve());
      </script><script src="${script}"></script>`;
      this.ready = new Promise(done => { frame.onload = () => done(frame.contentWindow); });
      addEventListener("message", event => {
        if (event.source !== frame.contentWindow) return;
        event.stopImmediatePropagation();
        const own = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(own);
        this.onmessage?.(own);
      });
      document.documentElement.append(frame);
    }
    postMessage(message) { this.ready.then(target => target.dispatchEvent(new MessageEvent("message", { data: message }))); }
    terminate() { this.ready.then(target => target.frameElement.remove()); }
  };
}
