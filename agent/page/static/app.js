// The page: which screen the address names, the bar above it, and the login.

import { auditScreen } from "./audit/screen.js";
import { alarmsScreen } from "./alarms/list.js";
import { alarmScreen } from "./alarms/one.js";
import { loadSession, may, offers, session, whenEnded } from "./base/api.js";
import { languageChoice, mayLook, personBox } from "./base/bar.js";
import { element, notice, replace } from "./base/dom.js";
import { listen, now, start, stop } from "./base/events.js";
import { t, useLanguage } from "./base/text.js";
import { liveScreen } from "./live/screen.js";
import { loginScreen } from "./base/login.js";
import { setupScreen } from "./setup/screen.js";
import { trainingScreen } from "./training/screen.js";

const main = document.getElementById("main");
const top = document.getElementById("top");
let close = () => {};

const SCREENS = [
  ["live", liveScreen],
  ["alarms", alarmsScreen],
  ["alarm", alarmScreen],
  ["setup", setupScreen],
  ["training", trainingScreen],
  ["audit", auditScreen],
];

function wanted() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/").map(decodeURIComponent);
  return { name: name || "live", rest, query: new URLSearchParams(query || "") };
}

function show() {
  close();
  close = () => {};
  replace(main);
  const { name, rest, query } = wanted();
  drawTop(name);
  if (!mayLook() || name === "login") {
    stop();
    close = loginScreen(main, afterLogin) || (() => {});
    return;
  }
  start(ended);
  const screen = SCREENS.find(([known]) => known === name)?.[1] ?? liveScreen;
  close = screen(main, rest, query) || (() => {});
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
}

async function afterLogin() {
  if (wanted().name === "login") location.hash = "#/live";
  else show();
}

async function ended() {
  if (!session.person) return;
  stop();
  await loadSession().catch(() => {});
  notice(t("login.ended"));
  show();
}

function link(name, current) {
  const here = current === name || (name === "alarms" && current === "alarm");
  return element("a", { href: `#/${name}`, "aria-current": here ? "page" : null }, t(`nav.${name}`));
}

// Screens of engineers, with the command that their agent must have.
const NEEDED = { audit: "audit/list", training: "bundle/take" };

function listed(name) {
  return name !== "alarm" && (!NEEDED[name] || (may("engineer") && offers(NEEDED[name])));
}

function drawTop(name) {
  const person = personBox(name !== "login" && mayLook(), () => { location.hash = "#/live"; show(); });
  replace(
    top,
    element("a", { class: "brand", href: "#/live" }, element("img", { src: "/icon.svg", alt: "", width: 28, height: 28 }),
      element("span", {}, session.site || "inspectd")),
    mayLook() && name !== "login" ? element("nav", { "aria-label": t("nav.screens") }, SCREENS.filter(([known]) => listed(known)).map(([known]) => link(known, name))) : null,
    element("span", { class: "health", id: "health", role: "status" }),
    element("span", { class: "right" }, languageChoice(show), person),
  );
  drawHealth();
}

function drawHealth() {
  const box = document.getElementById("health");
  if (!box) return;
  let text = "";
  if (mayLook() && wanted().name !== "login") {
    const outputs = Object.values(now.status?.outputs ?? {});
    if (now.gone) text = t("health.gone");
    else if (!now.connected && now.status) text = t("health.offline");
    else if (outputs.some((output) => !output.connected)) text = t("health.broker");
  }
  if (box.textContent !== text) box.textContent = text;
  box.classList.toggle("problem", text !== "");
}

async function begin() {
  try {
    await loadSession();
  } catch {
    setTimeout(begin, 2000);
    return;
  }
  await useLanguage(session.languages);
  document.getElementById("skip").textContent = t("nav.skip");
  document.getElementById("skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
  whenEnded(ended);
  listen(drawHealth);
  addEventListener("hashchange", show);
  show();
}

begin();
