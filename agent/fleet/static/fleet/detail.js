// Everything about one camera: its agent's words, its numbers, its latest alarms and events, and its own page.

import { get } from "../base/api.js";
import { element, replace } from "../base/dom.js";
import { moment, percent, score, t, tenths, whole } from "../base/text.js";
import { alarmTable } from "./alarm_table.js";

const REFRESH_MS = 5000;

export function drawDetail(first, identity, columns) {
  const box = element("td", { colspan: columns }, element("p", { class: "quiet" }, t("live.waiting")));
  const node = element("tr", { class: "detail", id: identity }, box);
  let row = first;
  let closed = false;
  let timer = null;

  async function load() {
    const parameters = new URLSearchParams({ agent: row.agent, ...(row.camera === null ? {} : { camera: row.camera }) });
    try {
      const found = await get(`/api/camera?${parameters}`);
      if (!closed) draw(found);
    } catch (error) {
      if (!closed) replace(box, element("p", { class: "fault" }, error.status ? error.message : t("fleet.health.page")));
    }
    if (!closed) again();
  }

  function again() {
    timer = setTimeout(() => (document.hidden ? again() : load()), REFRESH_MS);
  }

  function draw({ status, state, count, alarms, events }) {
    const problems = [...(status?.problems ?? []), state?.broken_promise?.text].filter(Boolean);
    replace(box, element("div", { class: "inside" },
      row.page ? element("p", {}, element("a", { class: "button", href: row.page, target: "_blank", rel: "noreferrer noopener" }, t("fleet.open"))) : null,
      problems.length ? element("ul", { class: "problems" }, problems.map((text) => element("li", {}, text))) : null,
      element("dl", { class: "facts" }, facts(status, state, count).map(([name, value]) => element("div", {}, element("dt", {}, t(name)), element("dd", {}, value)))),
      state?.promise ? element("p", { class: "quiet" }, state.promise) : null,
      state?.certificate ? element("p", { class: "quiet" }, state.certificate.text) : null,
      row.cameras ? null : element("h2", {}, t("fleet.detail.alarms")),
      row.cameras ? null : alarms.length ? alarmTable(alarms, false) : element("p", { class: "quiet" }, t("alarms.none")),
      events.length ? [element("h2", {}, t("fleet.detail.events")), element("ul", { class: "events" }, events.map((event) => element("li", {}, `${moment(event.at * 1000)}: ${event.text}`)))] : null));
  }

  load();
  return { node, update: (next) => { row = next; }, close: () => { closed = true; clearTimeout(timer); node.remove(); } };
}

function facts(status, state, count) {
  const outbox = status?.outbox;
  const shift = count?.shift ?? state?.shift_parts;
  const found = [
    ["fleet.fact.heard", moment(state?.at ?? status?.at)],
    ["fact.reason", state?.reason],
    ["fact.threshold", state?.threshold === null || state?.threshold === undefined ? null : score(state.threshold)],
    ["fact.calibration", state?.calibration],
    ["fact.rate", state?.frames_per_second ? t("live.rate", { rate: tenths(state.frames_per_second) }) : null],
    ["fleet.fact.latency", state?.latency_ms ? `${whole(state.latency_ms.p95)} ms` : null],
    ["fact.not_judged", shift ? whole(shift.not_judged) : null],
    ["fleet.fact.previous", count?.previous ? previousText(count.previous) : null],
    ["fleet.fact.engine", state?.engine],
    ["fleet.fact.bundle", state?.model ? `${state.model.name} ${state.model.sha256.slice(0, 12)}` : null],
    ["fleet.column.version", status?.version],
    ["fleet.fact.connected", status?.connected_at ? moment(status.connected_at) : null],
    ["fleet.fact.lost", outbox?.dropped_alarms ? whole(outbox.dropped_alarms) : null],
  ];
  return found.filter(([, value]) => value !== null && value !== undefined && value !== "");
}

function previousText(shift) {
  const passed = shift.first_pass_yield === null ? "" : `, ${percent(shift.first_pass_yield, 1)}`;
  return `${whole(shift.ok)} / ${whole(shift.nok)}${passed}`;
}
