// The rows of all cameras, brought up to date by one stream of events, and only while the page is on the screen.

export const known = { rows: new Map(), header: null, connected: false };

const listeners = new Set();
let source = null;
let whenSessionEnds = null;

export function listen(callback) {
  listeners.add(callback);
  return () => listeners.delete(callback);
}

function tell() {
  for (const callback of [...listeners]) callback();
}

export function start(onEnded) {
  whenSessionEnds = onEnded;
  if (!source && !document.hidden) open();
}

export function stop() {
  whenSessionEnds = null;
  close();
  known.rows.clear();
  known.header = null;
}

function open() {
  source = new EventSource("/api/events");
  source.addEventListener("open", () => { known.connected = true; tell(); });
  source.addEventListener("error", () => {
    known.connected = false;
    tell();
    // The browser tries again by itself, unless the server has said no.
    if (source?.readyState === EventSource.CLOSED) {
      close();
      setTimeout(() => { if (whenSessionEnds && !source && !document.hidden) open(); }, 3000);
    }
  });
  on("all", ({ rows }) => { known.rows = new Map(rows.map((row) => [row.key, row])); });
  on("rows", ({ changed, gone }) => {
    for (const row of changed) known.rows.set(row.key, { ...known.rows.get(row.key), ...row });
    for (const key of gone) known.rows.delete(key);
  });
  on("header", (header) => { known.header = header; });
  source.addEventListener("ended", () => { const ended = whenSessionEnds; close(); ended?.(); });
}

function close() {
  source?.close();
  source = null;
  known.connected = false;
}

function on(name, take) {
  source.addEventListener(name, (event) => { take(JSON.parse(event.data)); tell(); });
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) close();
  else if (whenSessionEnds && !source) open();
});
