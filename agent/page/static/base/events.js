// One stream of server-sent events for the whole page, and what it has brought so far.

export const now = { status: null, device: null, training: null, gone: null, scores: new Map(), connected: false };

const MOST_POINTS = 1500;
const listeners = new Set();
let source = null;

export function listen(callback) {
  listeners.add(callback);
  return () => listeners.delete(callback);
}

function tell(kind) {
  for (const callback of [...listeners]) callback(kind);
}

export function start(onEnded) {
  if (source) return;
  source = new EventSource("/api/events");
  source.addEventListener("open", () => { now.connected = true; tell("connection"); });
  source.addEventListener("error", () => {
    now.connected = false;
    tell("connection");
    // The browser tries again by itself, unless the server has said no.
    if (source && source.readyState === EventSource.CLOSED) {
      stop();
      setTimeout(() => start(onEnded), 3000);
    }
  });
  on("status", (data) => { now.status = data; now.gone = null; });
  on("device", (data) => { now.device = data; });
  on("training", (data) => { now.training = data; });
  on("gone", (data) => { now.gone = data.reason; });
  on("scores", (data) => {
    now.gone = null;
    for (const [camera, found] of Object.entries(data.cameras)) addScores(camera, found);
  });
  source.addEventListener("ended", () => { stop(); onEnded(); });
}

export function stop() {
  source?.close();
  source = null;
  now.connected = false;
}

function on(name, take) {
  source.addEventListener(name, (event) => { take(JSON.parse(event.data)); tell(name); });
}

function addScores(camera, found) {
  const known = now.scores.get(camera)?.points ?? [];
  const first = found.points.length ? found.points[0][0] : Infinity;
  // The first new points may be ones that have grown since.
  const points = known.filter((point) => point[0] < first).concat(found.points).slice(-MOST_POINTS);
  now.scores.set(camera, { ...found, points });
}
