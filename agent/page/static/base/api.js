// Requests to the page's own server. A change carries the session's token; an ended session leads to the login.

export const session = { person: null, role: null, csrf: null, site: "", languages: ["en"], commands: new Set() };

const RANKS = { view: 1, operate: 2, engineer: 3 };
let onEnded = () => {};

export class Failure extends Error {
  constructor(status, document) {
    super(document.error || `HTTP ${status}`);
    this.status = status;
    this.document = document;
  }
}

export function whenEnded(callback) {
  onEnded = callback;
}

export function may(role) {
  return RANKS[session.role] >= RANKS[role];
}

// Whether the agent accepts a command: an older one lacks some.
export function offers(command) {
  return session.commands.has(command);
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch {
    throw new Failure(0, { error: "offline" });
  }
  if (response.status === 204) return null;
  const document = await response.json().catch(() => ({}));
  if (response.status === 401 && path !== "/api/login") onEnded();
  if (!response.ok) throw new Failure(response.status, document);
  return document;
}

export const get = (path) => request(path);

export const post = (path, document = {}) =>
  request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...(session.csrf ? { "X-CSRF-Token": session.csrf } : {}) },
    body: JSON.stringify(document),
  });

export const sendFile = (path, file) =>
  request(path, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream", "X-CSRF-Token": session.csrf ?? "" },
    body: file,
  });

export async function loadSession() {
  Object.assign(session, await get("/api/session"));
  if (session.person || session.view_without_login) await loadCommands();
}

export async function logIn(name, password) {
  Object.assign(session, await post("/api/login", { name, password }));
  await loadCommands();
}

export async function logOut() {
  Object.assign(session, await post("/api/logout"));
}

export async function loadCommands() {
  const found = await get("/api/commands").catch(() => null);
  if (found) session.commands = new Set(found.commands);
}

// A person at the keyboard keeps the session alive; a page that only runs does not.
let touched = 0;
for (const kind of ["pointerdown", "keydown"]) {
  addEventListener(kind, () => {
    if (session.person && Date.now() - touched > 60_000) {
      touched = Date.now();
      post("/api/activity").catch(() => {});
    }
  }, { passive: true });
}
