// One camera in the table, and below it, where it is open, everything about it.

import { element, setChildren, setText } from "../base/dom.js";
import { ago, percent, t, whole } from "../base/text.js";
import { condition, kindOf, KINDS } from "./conditions.js";
import { drawDetail } from "./detail.js";

export const COLUMNS = [
  { name: "camera", sorts: "site" },
  { name: "state", sorts: "problem" },
  { name: "product", sorts: "product" },
  { name: "alarms", sorts: "alarms", number: true },
  { name: "ok", sorts: "ok", number: true },
  { name: "nok", sorts: "nok", number: true },
  { name: "yield", sorts: "yield", number: true },
  { name: "bundle", sorts: "bundle" },
  { name: "version", sorts: "version" },
  { name: "waiting", sorts: "waiting", number: true },
];

let opened = 0;

export function drawRow(first) {
  const name = element("b");
  const site = element("small");
  const place = `detail-${(opened += 1)}`;
  const button = element("button", { class: "opens quiet", "aria-expanded": "false", "aria-controls": place, onclick: toggle }, element("span", {}, name, site));
  const head = element("th", { scope: "row" }, button);
  const line = element("tr");
  let row = first;
  let drawn = "";
  let detail = null;

  function cell(column, text, more = {}) {
    return element("td", { data: { name: t(`fleet.column.${column}`), column }, ...more }, text ?? "–");
  }

  function update(next) {
    row = next;
    // "Five minutes ago" changes without news.
    const key = JSON.stringify(row) + (row.heard_at ? ago(row.heard_at * 1000) : "");
    if (key === drawn) return;
    drawn = key;
    setText(name, nameOf(row));
    setText(site, row.cameras ? `${row.site}: ${row.cameras.join(" + ")}` : row.site);
    line.dataset.kind = KINDS.find((kind) => kind.severity === row.severity).name;
    setChildren(line, [
      head,
      element("td", { class: "state", data: { name: t("fleet.column.state") } },
        element("span", { class: "badges" }, row.conditions.map((name) => element("span", { class: "badge", data: { kind: kindOf(name) } }, conditionText(row, name)))),
        row.heard_at ? element("small", {}, t("fleet.heard", { ago: ago(row.heard_at * 1000) })) : null,
        row.text ? element("small", { class: "words" }, row.text) : null),
      cell("product", row.product),
      cell("alarms", whole(row.alarms), { class: "number" }),
      cell("ok", row.ok === null || row.ok === undefined ? null : whole(row.ok), { class: "number" }),
      cell("nok", row.nok === null || row.nok === undefined ? null : whole(row.nok), { class: "number" }),
      cell("yield", row.yield === null || row.yield === undefined ? null : percent(row.yield, 1), { class: "number" }),
      cell("bundle", row.bundle ? [row.bundle, " ", element("small", {}, row.bundle_id.slice(0, 7))] : null),
      cell("version", row.version),
      cell("waiting", row.waiting === null ? null : whole(row.waiting), { class: "number" }),
    ]);
    detail?.update(row);
  }

  function toggle() {
    if (detail) closeDetail();
    else {
      detail = drawDetail(row, place, COLUMNS.length);
      line.after(detail.node);
    }
    button.setAttribute("aria-expanded", String(Boolean(detail)));
  }

  function closeDetail() {
    detail?.close();
    detail = null;
  }

  update(first);
  return {
    update,
    nodes: () => (detail ? [line, detail.node] : [line]),
    close: () => { closeDetail(); line.remove(); },
  };
}

// Cameras that see the same part are at `parts/NAME`.
function nameOf(row) {
  if (row.cameras) return row.camera.split("/")[1];
  return row.camera ?? t("fleet.no_camera");
}

function conditionText(row, name) {
  if (name === "calibrating" && row.progress) return t("phase.progress", { done: whole(row.progress[0]), all: whole(row.progress[1]) });
  if (name === "clock" && row.clock_off) return t(`fleet.clock.${row.clock_off > 0 ? "ahead" : "behind"}`, { minutes: whole(Math.abs(row.clock_off / 60)) });
  return condition(name);
}
