// Who changed what: the latest entries of the audit log.

import { get } from "../base/api.js";
import { element, replace } from "../base/dom.js";
import { moment, t } from "../base/text.js";

export function auditScreen(main) {
  const box = element("section", { class: "card" }, element("p", { class: "quiet" }, t("live.waiting")));
  replace(main, element("div", { class: "setup" }, element("h1", {}, t("nav.audit")), box));
  load();

  async function load() {
    const found = await get("/api/audit").catch((error) => error);
    if (!found.entries) {
      replace(box, element("p", { class: "quiet" }, found.document?.temporary ? t("health.gone") : found.message));
      return;
    }
    replace(box, element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": t("nav.audit") }, element("table", { class: "log" },
      element("thead", {}, element("tr", {}, ["time", "who", "what", "changed"].map((name) => element("th", { scope: "col" }, t(`audit.${name}`))))),
      element("tbody", {}, found.entries.map((entry) => element("tr", {},
        element("td", {}, moment(entry.at)), element("td", {}, entry.by),
        element("td", {}, [entry.action, entry.camera].filter(Boolean).join(" "), element("small", { class: "quiet" }, ` ${pairs(entry.request)}`)),
        element("td", {}, entry.ok ? changes(entry.changed) : element("span", { class: "problem" }, entry.error))))))));
  }
}

function pairs(request) {
  return Object.entries(request).map(([key, value]) => `${key} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");
}

function changes(changed) {
  return Object.entries(changed).map(([name, [before, after]]) => `${name}: ${before ?? "–"} → ${after ?? "–"}`).join(", ");
}
