// The page for many agents: which screen the address names, the bar above it, and the login.

import { loadSession, may, session, whenEnded } from "../base/api.js";
import { languageChoice, mayLook, personBox } from "../base/bar.js";
import { element, notice, replace } from "../base/dom.js";
import { loginScreen } from "../base/login.js";
import { moment, t, useLanguage } from "../base/text.js";
import { alarmsScreen } from "./alarms.js";
import { camerasScreen } from "./cameras.js";
import { loginsScreen } from "./logins.js";
import { known, listen, start, stop } from "./stream.js";

const main = document.getElementById("main");
const top = document.getElementById("top");
let close = () => {};

const SCREENS = [["cameras", camerasScreen], ["alarms", alarmsScreen], ["logins", loginsScreen]];

function wanted() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { name: path || "cameras", query: new URLSearchParams(query || "") };
}

function show() {
  close();
  close = () => {};
  replace(main);
  const { name, query } = wanted();
  document.title = session.site;
  drawTop(name);
  if (!mayLook() || name === "login") {
    stop();
    close = loginScreen(main, afterLogin) || (() => {});
    return;
  }
  start(ended);
  const screen = SCREENS.find(([each]) => each === name)?.[1] ?? camerasScreen;
  close = screen(main, query) || (() => {});
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
}

function afterLogin() {
  if (wanted().name === "login") location.hash = "#/cameras";
  else show();
}

async function ended() {
  if (!session.person) return;
  stop();
  await loadSession().catch(() => {});
  notice(t("login.ended"));
  show();
}

function drawTop(name) {
  const person = personBox(name !== "login" && mayLook(), () => { stop(); location.hash = "#/cameras"; show(); });
  const offered = SCREENS.filter(([each]) => each !== "logins" || may("engineer"));
  replace(
    top,
    element("a", { class: "brand", href: "#/cameras" }, element("img", { src: "/icon.svg", alt: "", width: 28, height: 28 }), element("span", {}, session.site)),
    mayLook() && name !== "login"
      ? element("nav", { "aria-label": t("nav.screens") }, offered.map(([each]) => element("a", { href: `#/${each}`, "aria-current": each === name ? "page" : null }, t(`fleet.nav.${each}`))))
      : null,
    element("span", { class: "health", id: "health", role: "status" }),
    element("span", { class: "right" }, languageChoice(show), person),
  );
  drawHealth();
}

function healthText() {
  const header = known.header;
  if (!mayLook() || wanted().name === "login" || !header) return "";
  if (!known.connected) return t("fleet.health.page");
  if (!header.connected) return t("fleet.health.broker", { broker: header.broker, since: moment(header.since * 1000) });
  if (header.beyond) return t("fleet.health.beyond");
  return header.history_problem ? t("fleet.health.history") : "";
}

function drawHealth() {
  const box = document.getElementById("health");
  if (!box) return;
  const text = healthText();
  if (box.textContent !== text) box.textContent = text;
  box.title = known.header?.problem ?? known.header?.history_problem ?? "";
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
  const skip = document.getElementById("skip");
  skip.textContent = t("nav.skip");
  skip.addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
  whenEnded(ended);
  listen(drawHealth);
  addEventListener("hashchange", show);
  show();
}

begin();
