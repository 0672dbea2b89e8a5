// Every calibration of a camera, newest first; an earlier one can be put in force again.

import { get, may, post } from "../base/api.js";
import { element, notice, replace } from "../base/dom.js";
import { moment, score, t, whole } from "../base/text.js";

const SHOWN = 20;

export function calibrationList(camera) {
  const path = `/api/cameras/${encodeURIComponent(camera)}`;
  const box = element("section", { class: "card" });

  async function load() {
    const found = await get(`${path}/calibrations`).catch(() => null);
    if (!found) return;
    const rows = [...found.calibrations].reverse().slice(0, SHOWN);
    replace(box, element("h2", {}, t("calibrations.title")),
      rows.length === 0 ? element("p", { class: "quiet" }, t("calibrations.none")) : element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": t("calibrations.title") }, element("table", {},
        element("thead", {}, element("tr", {}, ["time", "by", "threshold", "frames", "promise"].map((name) => element("th", { scope: "col" }, t(`calibrations.${name}`))), element("th", { scope: "col" }, element("span", { class: "hidden" }, t("calibrations.action"))))),
        element("tbody", {}, rows.map((row) => drawRow(row, row.id === found.active))))));
  }

  function drawRow(row, active) {
    return element("tr", { class: active ? "active" : "" },
      element("td", {}, moment(row.created_at)), element("td", {}, row.by), element("td", {}, score(row.threshold)),
      element("td", {}, whole(row.frames)), element("td", { lang: "en" }, row.promise),
      element("td", {}, active ? element("b", {}, t("calibrations.active"))
        : may("engineer") ? element("button", { onclick: () => use(row), "aria-label": t("calibrations.use.label", { at: moment(row.created_at) }) }, t("calibrations.use")) : null));
  }

  async function use(row) {
    try {
      await post(`${path}/rollback`, { to: row.id });
      notice(t("preview.activated"));
    } catch (error) {
      notice(error.message, "error");
    }
    load();
  }

  return { box, load };
}
