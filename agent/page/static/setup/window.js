// A window that was stopped before arming, or the one in force: its hottest images, and the decision about them.

import { get, may, post } from "../base/api.js";
import { element, notice, replace } from "../base/dom.js";
import { count, score, t } from "../base/text.js";

export function windowReview(camera) {
  const box = element("section", { class: "card", hidden: true });

  async function load() {
    const found = await get(`/api/cameras/${encodeURIComponent(camera)}/window`).catch(() => null);
    box.hidden = !found?.reason;
    if (found?.reason) draw(found);
  }

  function draw(found) {
    const marks = found.suspects.map((suspect) => element("input", { type: "checkbox", value: String(suspect.number), checked: found.suspected > 0 }));
    const allowed = may("engineer"), marked = found.in_force || found.suspected > 0;
    const throwOut = element("button", { onclick: () => decide("throw_out", chosen()) }, t(found.in_force ? "window.look.throw_out" : "window.throw_out"));
    const chosen = () => marks.filter((mark) => mark.checked).map((mark) => Number(mark.value));
    const update = () => { throwOut.disabled = marked && chosen().length === 0; };
    replace(box,
      element("h2", {}, t(found.in_force ? "window.look.title" : "window.title")),
      element("p", { class: "promise", lang: "en" }, found.reason),
      element("p", {}, found.in_force ? t("window.look") : found.suspected > 0 ? count("window.suspected", found.suspected) : t("window.misfit")),
      element("div", { class: "cards suspects", tabindex: 0, role: "group", "aria-label": t("window.title") }, found.suspects.map((suspect, index) => element("label", { class: "alarm" },
        element("img", { src: `data:image/jpeg;base64,${suspect.base64}`, alt: t("window.image", { number: suspect.number }) }),
        element("span", { class: "when" }, allowed && marked ? marks[index] : null, ` ${suspect.number}`),
        element("span", { class: "what" }, t("card.score", { score: score(suspect.score) }))))),
      allowed ? element("div", { class: "actions row" },
        element("button", { class: "main", onclick: () => decide("confirm_good") }, t(found.in_force ? "window.look.confirm" : "window.confirm")),
        marked ? throwOut : element("button", { onclick: () => decide("throw_out") }, t("window.discard"))) : element("p", { class: "quiet" }, t("setup.denied")));
    for (const mark of marks) mark.addEventListener("change", update);
    update();
  }

  async function decide(decision, only) {
    for (const button of box.querySelectorAll("button")) button.disabled = true;
    try {
      const done = await post(`/api/cameras/${encodeURIComponent(camera)}/window`, { decision, ...(only?.length ? { only } : {}) });
      notice(done.calibration ? t("window.armed") : t("window.again"));
    } catch (error) {
      notice(error.message, "error");
    }
    load();
  }

  return { box, load };
}
