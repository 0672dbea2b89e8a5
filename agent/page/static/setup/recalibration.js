// A new window from the next good parts. Nothing takes effect before a person has seen the preview.

import { get, may, offers, post } from "../base/api.js";
import { element, notice, replace } from "../base/dom.js";
import { count, score, t, whole } from "../base/text.js";
import { alarmCard } from "../alarms/card.js";

const DAY_MS = 86_400_000;
const MOST_SHOWN = 24;

export function recalibration(camera) {
  const path = `/api/cameras/${encodeURIComponent(camera)}`;
  const box = element("section", { class: "card", hidden: !offers("recalibrate") });
  let shown = "";

  function draw(state, preview) {
    const running = Boolean(state.progress) && Boolean(state.calibration);
    const open = preview && preview.calibration !== state.calibration && sessionStorage.getItem("discarded") !== preview.calibration;
    const key = running ? "running" : open ? preview.calibration : state.calibration ? "form" : "";
    box.hidden = key === "";
    if (running) drawProgress(state);
    if (key === shown) return;
    shown = key;
    if (key === "form") drawForm();
    else if (!running && open) drawPreview(state, preview);
  }

  function drawForm() {
    if (!may("engineer")) { box.hidden = true; return; }
    const frames = element("input", { id: "frames", type: "number", min: 20, max: 10_000_000, placeholder: t("recalibrate.default") });
    const budget = element("input", { id: "budget", maxlength: 100, placeholder: t("recalibrate.default") });
    const fresh = element("input", { type: "checkbox" });
    replace(box, element("h2", {}, t("recalibrate.title")), element("p", { class: "promise" }, t("recalibrate.explain")),
      element("form", { class: "filters", onsubmit: (event) => {
        event.preventDefault();
        send("recalibrate", { frames: frames.value ? Number(frames.value) : null, false_alarms: budget.value.trim() || null, fresh: fresh.checked });
      } },
        element("label", {}, t("recalibrate.frames"), frames),
        element("label", {}, t("recalibrate.budget"), budget),
        element("label", { class: "switch plain" }, fresh, element("span", {}, t("recalibrate.fresh"))),
        element("button", { class: "main", type: "submit" }, t("recalibrate.start"))));
  }

  function drawProgress(state) {
    const text = t("phase.progress", { done: whole(state.progress.frames), all: whole(state.progress.wanted) });
    if (shown !== "running") {
      replace(box, element("h2", {}, t("recalibrate.title")), element("p", { role: "status" }), element("progress", { class: "window", max: 1, "aria-label": t("recalibrate.title") }),
        element("p", { class: "promise" }, t("recalibrate.meanwhile")),
        may("engineer") ? element("div", { class: "actions row" }, element("button", { onclick: () => send("recalibrate", { cancel: true }) }, t("recalibrate.cancel"))) : null);
    }
    box.querySelector("[role=status]").textContent = text;
    box.querySelector("progress").value = state.progress.frames / state.progress.wanted;
  }

  function drawPreview(state, preview) {
    const gone = element("div", { class: "stack" });
    replace(box, element("h2", {}, t("preview.title")),
      element("dl", { class: "facts" },
        [["preview.threshold", `${score(state.threshold)} → ${score(preview.threshold)}`],
         ["preview.alarms", `${preview.alarms_before ?? "–"} → ${preview.alarms}`],
         preview.confirmed_defects ? ["preview.defects", `${preview.still_found} / ${preview.confirmed_defects}`] : null]
          .filter(Boolean).map(([key, value]) => element("div", {}, element("dt", {}, t(key)), element("dd", {}, value)))),
      element("p", { class: "promise", lang: "en" }, preview.promise),
      gone,
      may("engineer") ? element("div", { class: "actions row" },
        element("button", { class: "main", onclick: () => send("rollback", { to: preview.calibration }, t("preview.activated")) }, t("preview.activate")),
        element("button", { onclick: () => { sessionStorage.setItem("discarded", preview.calibration); shown = ""; drawForm(); shown = "form"; } }, t("preview.discard"))) : null);
    drawGone(gone, state, preview);
  }

  // The alarms of the last day that the new threshold would not have raised.
  async function drawGone(place, state, preview) {
    const since = new Date(Date.now() - DAY_MS).toISOString();
    const found = await get(`/api/alarms?camera=${encodeURIComponent(camera)}&kind=defect&since=${since}&limit=1000`).catch(() => null);
    const gone = (found?.alarms ?? []).filter((alarm) => alarm.calibration === state.calibration && alarm.peak !== null && alarm.peak <= preview.threshold);
    replace(place, element("h3", {}, count("preview.gone", gone.length)),
      gone.some((alarm) => alarm.verdict === "true") ? element("p", { class: "problem" }, t("preview.gone.true")) : null,
      element("div", { class: "cards" }, gone.slice(0, MOST_SHOWN).map((alarm) => alarmCard(alarm))));
  }

  async function send(what, document, done) {
    try {
      await post(`${path}/${what}`, document);
      if (done) notice(done);
    } catch (error) {
      notice(error.message, "error");
    }
  }

  return { box, draw };
}
