// One camera: image, verdict, score strip, counters, latest alarms, device.

import { get, may, post } from "../base/api.js";
import { element, icon, notice, replace, setChildren, setText } from "../base/dom.js";
import { listen, now } from "../base/events.js";
import { bytes, count, percent, score, t, tenths, whole } from "../base/text.js";
import { alarmCard } from "../alarms/card.js";
import { scoreStrip } from "./chart.js";
import { drawRows } from "./facts.js";
import { liveImage } from "./image.js";
import { productChoice } from "./product.js";
import { drawVerdict, shownPart } from "./verdict.js";

const LATEST_ALARMS = 6;
const TICK_MS = 500;

export function cameraDetail(box, camera, several) {
  const image = liveImage(camera, { label: t("live.image", { camera }) });
  const strip = scoreStrip({ height: innerHeight < 700 ? 110 : 150 });
  const verdict = element("div", { class: "verdict", role: "status", "aria-live": "polite" });
  const bar = element("progress", { class: "window", max: 1, "aria-label": t("phase.calibrating") });
  const facts = element("dl", { class: "facts" });
  const health = element("dl", { class: "facts" });
  const promise = element("p", { class: "promise", lang: "en" });
  const alarms = element("div", { class: "cards" });
  const actions = element("div", { class: "actions" });
  const heat = heatSwitch(image);
  const product = productChoice(camera);

  replace(box,
    element("div", { class: "detail" },
      element("section", { class: "card picture", "aria-label": t("live.image", { camera }) },
        element("header", {},
          several ? element("a", { class: "button quiet back", href: "#/live", "aria-label": t("live.all") }, icon("left")) : null,
          element("h1", {}, camera), heat),
        element("div", { class: "frame" }, image.canvas)),
      element("section", { class: "side" }, verdict, bar, element("div", { class: "card" }, facts, product.box, actions)),
      element("section", { class: "card chart" }, element("h2", {}, t("chart.title")), strip.box),
      element("section", { class: "card latest" }, element("h2", {}, element("a", { href: `#/alarms?camera=${encodeURIComponent(camera)}` }, t("live.latest"))), alarms),
      element("section", { class: "card promised" }, element("h2", {}, t("calibrations.promise")), promise),
      element("section", { class: "card device" }, element("h2", {}, t("device.title")), health)));

  let latest;
  let buttonFor;

  function draw(kind) {
    const at = Date.now();
    drawVerdict(verdict, camera, at);
    const state = now.status?.cameras[camera];
    const found = now.scores.get(camera);
    if (found && (kind === "scores" || !kind)) strip.set(found.points, found.threshold);
    if (!state) return;
    bar.hidden = !state.progress;
    if (state.progress) bar.value = state.progress.frames / state.progress.wanted;
    drawFacts(facts, state, found, shownPart(camera, at));
    setText(promise, state.broken_promise?.text ?? state.promise ?? "");
    promise.classList.toggle("problem", Boolean(state.broken_promise));
    drawActions(state);
    product.draw(state);
    if (now.device || now.status) drawDevice(health);
    const key = `${found?.alarm}`;
    if (key !== latest) { latest = key; loadAlarms(); }
  }

  function drawActions(state) {
    const wanted = !may("operate") || state.phase === "stopped" ? "" : state.phase === "paused" ? "resume" : "pause";
    if (wanted === buttonFor) return;
    buttonFor = wanted;
    replace(actions, wanted ? element("button", { onclick: () => act(wanted) }, t(`live.${wanted}`)) : null);
  }

  async function act(command) {
    try {
      await post(`/api/cameras/${encodeURIComponent(camera)}/${command}`);
      notice(t(`live.${command}.done`, { camera }));
    } catch (error) {
      notice(error.message, "error");
    }
  }

  async function loadAlarms() {
    const result = await get(`/api/alarms?camera=${encodeURIComponent(camera)}&limit=${LATEST_ALARMS}`).catch(() => null);
    if (!result) return;
    const shown = new Map([...alarms.querySelectorAll("[data-alarm]")].map((card) => [card.dataset.alarm, card]));
    const cards = result.alarms.map((alarm) => shown.get(alarm.id) ?? alarmCard(alarm));
    setChildren(alarms, cards.length ? cards : [element("p", { class: "quiet" }, t("alarms.none"))]);
  }

  draw();
  const forget = listen(draw);
  const ticking = setInterval(() => drawVerdict(verdict, camera), TICK_MS);
  return () => { forget(); clearInterval(ticking); image.close(); strip.close(); };
}

function heatSwitch(image) {
  const wanted = localStorage.getItem("heat") !== "off";
  const box = element("input", { type: "checkbox", checked: wanted, role: "switch", onchange: () => {
    localStorage.setItem("heat", box.checked ? "on" : "off");
    image.showHeat(box.checked);
  } });
  image.showHeat(wanted);
  return element("label", { class: "switch" }, box, element("span", {}, t("live.heat")));
}

function drawFacts(list, state, found, part) {
  const parts = state.parts;
  const judged = parts ? parts.ok + parts.nok : 0;
  // null: a bad part that came and went between two looks.
  const seen = part === null ? undefined : part?.score ?? found?.points.at(-1)?.[1];
  const rows = [
    state.product ? [t("fact.product"), state.product] : null,
    [t("fact.score"), seen === undefined ? "–" : `${score(seen)} / ${score(part?.threshold ?? state.threshold)}`],
    parts ? [t("fact.good"), whole(parts.ok)] : null,
    parts ? [t("fact.bad"), whole(parts.nok)] : null,
    parts && judged ? [t("fact.yield"), percent(parts.ok, judged)] : null,
    parts?.not_judged ? [t("fact.not_judged"), whole(parts.not_judged)] : null,
    parts ? null : [t("fact.frames"), whole(state.frames)],
    [t("fact.rate"), state.frames_per_second === null ? "–" : t("live.rate", { rate: tenths(state.frames_per_second) })],
    state.broken_promise ? [t("calibrations.promise"), t("fact.promise.broken"), true] : null,
    state.drift ? [t("fact.drift"), t("fact.drift.yes")] : null,
  ];
  drawRows(list, rows);
}

function drawDevice(list) {
  const device = now.device;
  const outputs = Object.values(now.status?.outputs ?? {});
  const waiting = now.status?.delivery?.outbox?.waiting;
  const hottest = Object.values(device?.temperatures ?? {}).sort((a, b) => b - a)[0];
  drawRows(list, [
    [t("device.broker"), outputs.every((output) => output.connected) ? t("device.connected") : t("device.disconnected"), !outputs.every((output) => output.connected)],
    waiting ? [t("device.waiting"), count("device.messages", waiting)] : null,
    device?.load !== undefined && device.load !== null ? [t("device.load"), percent(device.load, device.cores || 1), device.load > 1.5 * device.cores] : null,
    device ? [t("device.memory"), bytes(device.memory_free_bytes), device.memory_free_bytes < 2e8] : null,
    device ? [t("device.disk"), bytes(device.disk_free_bytes), device.disk_free_bytes < 1e9] : null,
    hottest === undefined ? null : [t("device.temperature"), `${Math.round(hottest)} °C`, hottest > 85],
  ]);
}
