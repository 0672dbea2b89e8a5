// What every page has: the screen that the address names, the bar above it, the login, and the end of a session.

import { loadSession, session, whenEnded } from "./api.js";
import { languageChoice, mayLook, personBox } from "./bar.js";
import { element, notice, replace, setText } from "./dom.js";
import { loginScreen } from "./login.js";
import { t, useLanguage } from "./text.js";

const RETRY_MS = 2000;

// `screens`: name and function of each, the first one is shown where the address names none; `listed`: whether a screen is
// in the bar; `current`: the entry of the bar for a screen; `label`: its text; `health`: what is wrong, and
// details; `stream`: start, stop and listen of the events. Returns what draws the page again.
export function runPage({ screens, listed, current = (name) => name, label, health, stream }) {
  const main = document.getElementById("main");
  const top = document.getElementById("top");
  const [home] = screens[0];
  let close = () => {};

  function wanted() {
    const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
    const [name, ...rest] = path.split("/").map(decodeURIComponent);
    return { name: name || home, rest, query: new URLSearchParams(query || "") };
  }

  function show() {
    close();
    close = () => {};
    replace(main);
    const { name, rest, query } = wanted();
    document.title = session.site || "inspectd";
    drawTop(name);
    if (!mayLook() || name === "login") {
      stream.stop();
      close = loginScreen(main, afterLogin) || (() => {});
      return;
    }
    stream.start(ended);
    const screen = screens.find(([known]) => known === name)?.[1] ?? screens[0][1];
    close = screen(main, rest, query) || (() => {});
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  function afterLogin() {
    if (wanted().name === "login") location.hash = `#/${home}`;
    else show();
  }

  async function ended() {
    if (!session.person) return;
    stream.stop();
    await loadSession().catch(() => {});
    notice(t("login.ended"));
    show();
  }

  function drawTop(name) {
    const inside = mayLook() && name !== "login";
    const person = personBox(inside, () => { stream.stop(); location.hash = `#/${home}`; show(); });
    replace(
      top,
      element("a", { class: "brand", href: `#/${home}` }, element("img", { src: "/icon.svg", alt: "", width: 28, height: 28 }),
        element("span", {}, session.site || "inspectd")),
      inside ? element("nav", { "aria-label": t("nav.screens") }, screens.filter(([known]) => listed(known)).map(([known]) =>
        element("a", { href: `#/${known}`, "aria-current": known === current(name) ? "page" : null }, label(known)))) : null,
      element("span", { class: "health", id: "health", role: "status" }),
      element("span", { class: "right" }, languageChoice(show), person),
    );
    drawHealth();
  }

  function drawHealth() {
    const box = document.getElementById("health");
    if (!box) return;
    const [text, details] = mayLook() && wanted().name !== "login" ? health() : ["", ""];
    setText(box, text);
    box.title = details ?? "";
    box.classList.toggle("problem", text !== "");
  }

  async function begin() {
    try {
      await loadSession();
    } catch {
      setTimeout(begin, RETRY_MS);
      return;
    }
    await useLanguage(session.languages);
    const skip = document.getElementById("skip");
    skip.textContent = t("nav.skip");
    skip.addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
    whenEnded(ended);
    stream.listen(drawHealth);
    addEventListener("hashchange", show);
    show();
  }

  begin();
  return show;
}
