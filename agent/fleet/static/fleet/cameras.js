// The table of all cameras: counts, filters that are part of the address, and rows, the ones with a problem first.

import { element, replace, setChildren, setText } from "../base/dom.js";
import { count, moment, t, whole } from "../base/text.js";
import { condition, KINDS } from "./conditions.js";
import { COLUMNS, drawRow } from "./row.js";
import { arrange } from "./order.js";
import { known, listen } from "./stream.js";

// A browser draws so many rows in a tenth of a second; those with a problem are among them.
const AT_FIRST = 200;

// The others are several cameras that see the same part.
const isCamera = (row) => !row.cameras;

export function camerasScreen(main, _, query) {
  const tiles = element("div", { class: "tiles", role: "group", "aria-label": t("fleet.filter.severity") });
  const counts = element("p", { class: "counts", role: "status" });
  const body = element("tbody");
  const head = element("tr", {}, COLUMNS.map(heading));
  const table = element("table", { class: "fleet" }, element("caption", { class: "hidden" }, t("fleet.nav.cameras")), element("thead", {}, head), body);
  const empty = element("p", { class: "empty" });
  const more = element("button", { class: "more", onclick: () => { shown += AT_FIRST; draw(); } }, t("alarms.more"));
  const faults = element("details", { class: "faults card", hidden: true });
  const form = filters();
  replace(main, element("h1", { class: "hidden" }, t("fleet.nav.cameras")), tiles, form, counts, table, empty, more, faults);
  const lines = new Map();
  let shown = AT_FIRST;
  let asked = false;

  function draw() {
    asked = false;
    const rows = [...known.rows.values()];
    drawTiles(rows);
    fillSites(rows);
    const found = arrange(rows, query);
    drawLines(found.slice(0, shown));
    setText(counts, rows.length ? count("fleet.counts", found.filter(isCamera).length, { all: whole(rows.filter(isCamera).length) }) : "");
    more.hidden = found.length <= shown;
    table.hidden = !found.length;
    empty.hidden = Boolean(found.length);
    setText(empty, !known.header ? t("live.waiting") : rows.length ? t("fleet.none.found") : t("fleet.none", { broker: known.header.broker }));
    drawFaults();
  }

  // Lines stay what they are when they move, so that focus and what is open stay too.
  function drawLines(rows) {
    const focused = document.activeElement;
    const keys = new Set(rows.map((row) => row.key));
    for (const [key, line] of lines) if (!keys.has(key)) { line.close(); lines.delete(key); }
    for (const row of rows) {
      if (!lines.has(row.key)) lines.set(row.key, drawRow(row));
      lines.get(row.key).update(row);
    }
    setChildren(body, rows.flatMap((row) => lines.get(row.key).nodes()));
    if (focused !== document.activeElement && body.contains(focused)) focused.focus({ preventScroll: true });
  }

  function drawTiles(rows) {
    const wanted = query.get("severity");
    const numbers = KINDS.map((kind) => [kind, rows.filter((row) => isCamera(row) && row.severity === kind.severity).length]);
    const key = JSON.stringify([wanted, numbers.map(([, number]) => number)]);
    if (tiles.dataset.key === key) return;
    const at = [...tiles.children].indexOf(document.activeElement);
    tiles.dataset.key = key;
    replace(tiles, numbers.map(([kind, number]) => element("button", {
      class: "tile", data: { kind: number ? kind.name : "none" }, "aria-pressed": String(wanted === kind.name),
      onclick: () => go({ severity: wanted === kind.name ? "" : kind.name }),
    }, element("b", {}, whole(number)), element("span", {}, t(`fleet.severity.${kind.name}`)))));
    if (at >= 0) tiles.children[at].focus();
  }

  function heading({ name, sorts, number }) {
    const sort = query.get("sort") ?? "problem";
    const down = query.get("down") === "1";
    const label = t(`fleet.column.${name}`);
    if (!sorts) return element("th", { scope: "col" }, label);
    return element("th", { scope: "col", class: number ? "number" : null, "aria-sort": sort === sorts ? (down ? "descending" : "ascending") : null },
      element("button", { class: "quiet", onclick: () => go({ sort: sorts, down: sort === sorts ? (down ? "" : "1") : number ? "1" : "" }) }, label));
  }

  function filters() {
    const choice = (name, options) => element("label", {}, t(`fleet.filter.${name}`), element("select", { name }, element("option", { value: "" }, t("filter.all")), options));
    const conditions = KINDS.flatMap((kind) => kind.conditions).map((name) => element("option", { value: name, selected: query.get("condition") === name }, condition(name)));
    const search = element("input", { name: "search", type: "search", value: query.get("search") ?? "", maxlength: 80, autocomplete: "off", spellcheck: "false", oninput: () => { keep("search", search.value); ask(); } });
    const made = element("form", { class: "filters card", onsubmit: (event) => event.preventDefault(), onchange: (event) => { if (event.target !== search) go({ [event.target.name]: event.target.value }); } },
      element("label", { class: "search" }, t("fleet.filter.search"), search), choice("site", []), choice("condition", conditions));
    addEventListener("keydown", slash);
    return made;
  }

  function slash(event) {
    if (event.key !== "/" || /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName)) return;
    event.preventDefault();
    form.querySelector("input").focus();
  }

  function fillSites(rows) {
    const select = form.querySelector("select[name=site]");
    const sites = [...new Set(rows.map((row) => row.site))].sort(new Intl.Collator(undefined, { numeric: true }).compare);
    const wanted = query.get("site");
    if (wanted && !sites.includes(wanted)) sites.push(wanted);
    if (select.options.length === sites.length + 1) return;
    replace(select, element("option", { value: "" }, t("filter.all")), sites.map((site) => element("option", { value: site, selected: site === wanted }, site)));
  }

  // While a person types, the address follows without a new screen.
  function keep(name, value) {
    if (value) query.set(name, value);
    else query.delete(name);
    history.replaceState(null, "", `#/cameras${query.size ? `?${query}` : ""}`);
  }

  function go(changes) {
    const next = new URLSearchParams(query);
    for (const [name, value] of Object.entries(changes)) {
      if (value) next.set(name, value);
      else next.delete(name);
    }
    location.hash = `#/cameras${next.size ? `?${next}` : ""}`;
  }

  function drawFaults() {
    const header = known.header;
    faults.hidden = !header?.faults;
    if (faults.hidden || faults.dataset.key === String(header.faults)) return;
    const open = faults.open;
    faults.dataset.key = String(header.faults);
    replace(faults, element("summary", {}, count("fleet.faults", header.faults)), element("ul", {}, header.faults_named.map((fault) =>
      element("li", {}, element("code", {}, fault.topic), ` ${fault.reason} (${whole(fault.count)}×, ${moment(fault.at * 1000)})`))));
    faults.open = open;
  }

  function ask() {
    if (!asked) requestAnimationFrame(draw);
    asked = true;
  }

  draw();
  const forget = listen(ask);
  return () => { forget(); removeEventListener("keydown", slash); for (const line of lines.values()) line.close(); };
}
