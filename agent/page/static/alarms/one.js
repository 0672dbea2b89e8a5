// One alarm: its images at full size, its facts, the scores around it, and the judgement.

import { get, may, post } from "../base/api.js";
import { element, icon, notice, replace } from "../base/dom.js";
import { filterQuery } from "../base/filters.js";
import { moment, score, t } from "../base/text.js";
import { scoreStrip } from "../live/chart.js";
import { alarmRequest } from "./list.js";
import { zoomView } from "./zoom.js";

const AROUND_SECONDS = 30;

export function alarmScreen(main, [id], query) {
  const state = { close: [], alarm: null, older: null, newer: null };
  const keys = (event) => onKey(event, state);
  addEventListener("keydown", keys);
  load();

  async function load() {
    try {
      state.alarm = await get(`/api/alarms/${encodeURIComponent(id)}`);
    } catch (error) {
      replace(main, element("p", { class: "empty" }, error.document?.temporary ? t("health.gone") : error.message));
      return;
    }
    draw();
    loadNeighbours();
  }

  function draw() {
    const { alarm } = state;
    const view = zoomView(alarm);
    state.judge = judgement(alarm, (judged) => { state.alarm = { ...alarm, ...judged }; });
    state.previous = neighbour("left", "alarm.newer");
    state.next = neighbour("right", "alarm.older");
    const around = element("section", { class: "card", hidden: true });
    replace(main, element("div", { class: "one" },
      element("header", {},
        element("a", { class: "button quiet", href: `#/alarms${filterQuery(query)}` }, icon("left"), t("nav.alarms")),
        element("h1", {}, t(alarm.kind === "camera" ? "alarm.title.camera" : "alarm.title", { camera: alarm.camera, at: moment(alarm.raised_at) })),
        element("span", { class: "end" }, state.previous, state.next)),
      view.box,
      element("div", { class: "info" }, state.judge.box, facts(alarm), around)));
    state.close.push(view.close);
    drawAround(around, alarm);
  }

  async function drawAround(box, alarm) {
    if (alarm.frame === null) return;
    const at = new Date(alarm.raised_at).getTime() / 1000;
    const found = await get(`/api/cameras/${encodeURIComponent(alarm.camera)}/scores?at=${at}&seconds=${AROUND_SECONDS}`).catch(() => null);
    if (!found || found.points.length < 2) return;
    const strip = scoreStrip({ height: 130, mark: at });
    box.hidden = false;
    replace(box, element("h2", {}, t("alarm.around")), strip.box);
    strip.set(found.points, alarm.threshold);
    state.close.push(strip.close);
  }

  // The alarms before and after this one in the list that the person came from.
  async function loadNeighbours() {
    const older = alarmRequest(query);
    older.set("before", state.alarm.id);
    older.set("limit", 1);
    const newer = alarmRequest(query);
    newer.set("after", state.alarm.id);
    newer.set("limit", 1);
    const found = await Promise.all([older, newer].map((parameters) => get(`/api/alarms?${parameters}`).catch(() => null)));
    [state.older, state.newer] = found.map((list) => list?.alarms[0]?.id);
    for (const [link, target] of [[state.previous, state.newer], [state.next, state.older]]) {
      if (target) link.href = `#/alarm/${target}${filterQuery(query)}`;
      link.hidden = !target;
    }
  }

  return () => {
    removeEventListener("keydown", keys);
    for (const close of state.close) close();
  };
}

function neighbour(shape, key) {
  return element("a", { class: "button", hidden: true, "aria-label": t(key), title: t(key) }, icon(shape));
}

function onKey(event, state) {
  const writing = ["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName);
  if (writing || event.ctrlKey || event.metaKey || event.altKey || !state.judge) return;
  if (event.key === "ArrowLeft" && state.newer) state.previous.click();
  else if (event.key === "ArrowRight" && state.older) state.next.click();
  else if (event.key.toLowerCase() === "t") state.judge.press("true");
  else if (event.key.toLowerCase() === "f") state.judge.press("false");
}

function facts(alarm) {
  const rows = [
    ["fact.score.alone", score(alarm.score)],
    ["fact.threshold", score(alarm.threshold)],
    ["fact.peak", score(alarm.peak)],
    ["fact.cleared", alarm.cleared_at ? moment(alarm.cleared_at) : t("fact.active")],
    ["fact.product", alarm.product],
    ["fact.file", alarm.origin],
    ["fact.reason", alarm.reason],
    ["fact.calibration", alarm.calibration],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "–");
  return element("section", { class: "card" },
    element("dl", { class: "facts" }, rows.map(([key, value]) => element("div", {}, element("dt", {}, t(key)), element("dd", {}, value)))));
}

function judgement(alarm, onJudged) {
  const note = element("textarea", { id: "note", maxlength: 1000 });
  const kind = element("input", { id: "defect", maxlength: 100, list: "defects", autocomplete: "off" });
  note.value = alarm.note ?? "";
  kind.value = alarm.defect ?? "";
  const buttons = ["true", "false"].map((verdict) => element("button", {
    class: verdict, "aria-pressed": String(alarm.verdict === verdict), onclick: () => send(verdict),
  }, t(`judge.${verdict}`), element("kbd", { "aria-hidden": "true" }, t(`judge.${verdict}.key`))));
  const history = element("ul", { class: "history" });
  drawHistory(alarm.judgements);
  const allowed = may("operate");
  const box = element("section", { class: "card judge" },
    element("h2", {}, t("judge.title")),
    allowed ? element("div", { class: "pair" }, buttons) : element("p", { class: "quiet" }, t("judge.denied")),
    allowed ? [element("label", { for: "defect" }, t("judge.kind")), kind, element("label", { for: "note" }, t("judge.note")), note] : null,
    history);

  function drawHistory(judgements) {
    replace(history, [...judgements].reverse().map((each) => element("li", {},
      element("span", { class: `badge ${each.verdict}` }, t(`judged.${each.verdict}`)),
      ` ${each.by}, ${moment(each.at)}`, each.defect ? ` · ${each.defect}` : null, each.note ? ` · ${each.note}` : null)));
  }

  async function send(verdict) {
    for (const button of buttons) button.disabled = true;
    try {
      const judged = await post(`/api/alarms/${alarm.id}/verdict`, {
        verdict, ...(kind.value.trim() ? { kind: kind.value.trim() } : {}), ...(note.value.trim() ? { note: note.value.trim().replaceAll(/\s+/g, " ") } : {}),
      });
      onJudged(judged);
      for (const button of buttons) button.setAttribute("aria-pressed", String(button.classList.contains(verdict)));
      drawHistory((await get(`/api/alarms/${alarm.id}`)).judgements);
      notice(t(`judge.${verdict}.done`));
    } catch (error) {
      notice(error.document?.temporary ? t("health.gone") : error.message, "error");
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  return { box, press: (verdict) => { if (allowed) send(verdict); } };
}
