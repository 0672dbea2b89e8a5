// The right of the bar above every screen: the language, and who is logged in.

import { logOut, session } from "./api.js";
import { element } from "./dom.js";
import { language, t, useLanguage } from "./text.js";

export function languageChoice(redraw) {
  const choice = element("select", {
    "aria-label": t("nav.language"),
    onchange: async () => { await useLanguage(session.languages, choice.value); document.getElementById("skip").textContent = t("nav.skip"); redraw(); },
  }, session.languages.map((name) => {
    const own = new Intl.DisplayNames([name], { type: "language" }).of(name);
    return element("option", { value: name, selected: name === language, lang: name }, own);
  }));
  return choice;
}

// `offered`: whether to offer the login where nobody is logged in.
export function personBox(offered, afterLogout) {
  if (session.person) {
    return [element("span", { class: "person" }, element("b", {}, session.person), element("small", {}, t(`role.${session.role}`))),
      element("button", { class: "quiet", onclick: async () => { await logOut().catch(() => {}); afterLogout(); } }, t("nav.logout"))];
  }
  return offered ? [element("a", { class: "button quiet", href: "#/login" }, t("nav.login"))] : [];
}

export function mayLook() {
  return Boolean(session.person || session.view_without_login);
}
