// The latest parts: what became of each, and the image of those that raised an alarm or were sampled.

import { get } from "../base/api.js";
import { element, notice, replace } from "../base/dom.js";
import { choice, field, filterForm, request } from "../base/filters.js";
import { now } from "../base/events.js";
import { moment, score, t } from "../base/text.js";
import { hasProducts, limited } from "../alarms/list.js";

const PAGE = 100;
const BADGES = { ok: "false", nok: "true", not_judged: "" };
const COLUMNS = ["time", "part", "verdict", "score", "image"];

export function partsScreen(main, _, query) {
  const body = element("tbody");
  const table = element("table", { class: "log parts", hidden: true },
    element("thead", {}, element("tr", {}, COLUMNS.map((name) => element("th", { scope: "col" }, t(`parts.${name}`))))), body);
  const empty = element("p", { class: "empty", hidden: true });
  const more = element("button", { class: "more", hidden: true, onclick: () => load() }, t("alarms.more"));
  replace(main, element("h1", { class: "hidden" }, t("nav.parts")), filters(query),
    element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": t("nav.parts") }, table), empty, more);
  let before = null;

  async function load() {
    more.disabled = true;
    const parameters = wanted(query);
    parameters.set("limit", PAGE);
    if (before) parameters.set("before", before);
    try {
      const { parts } = await get(`/api/parts?${parameters}`);
      for (const part of parts) body.append(row(part));
      before = parts.at(-1)?.number;
      table.hidden = !body.children.length;
      empty.hidden = !table.hidden;
      empty.textContent = t(query.size ? "parts.none.found" : "parts.none");
      more.hidden = parts.length < PAGE;
    } catch (error) {
      notice(error.document?.temporary ? t("health.gone") : error.message, "error");
    }
    more.disabled = false;
  }

  load();
}

// A group of cameras is chosen like a camera, as parts/NAME.
function wanted(query) {
  const parameters = request(query, ["camera", "product", "verdict", "part"]);
  const [place, group] = (query.get("camera") ?? "").split("/");
  if (group) { parameters.delete("camera"); parameters.set("group", group); } else if (place) parameters.set("camera", place);
  return parameters;
}

function filters(query) {
  const places = [...Object.keys(now.status?.parts ?? {}).map((name) => `parts/${name}`), ...Object.keys(now.status?.cameras ?? {})];
  return filterForm("parts", query, [
    choice(query, "camera", places, (place) => place.split("/").at(-1)),
    field(query, "part", "search", { maxlength: 128, autocomplete: "off", spellcheck: "false" }),
    hasProducts(query) ? field(query, "product", "text", { maxlength: 64 }) : null,
    choice(query, "verdict", ["ok", "nok", "not_judged"], (value) => t(`parts.${value}`), t("parts.verdict")),
  ], element("a", { class: "button", href: `/api/parts.csv?${limited(wanted(query))}`, download: "parts.csv" }, t("alarms.table")));
}

function row(part) {
  return element("tr", { data: { verdict: part.verdict } },
    element("td", {}, moment(part.captured_at)),
    element("td", {}, element("b", {}, part.part), part.code && part.code !== part.part ? ` ${part.code}` : null,
      element("small", { class: "quiet" }, ` ${[part.camera.split("/").at(-1), part.product].filter(Boolean).join(", ")}`)),
    element("td", {}, element("span", { class: `badge ${BADGES[part.verdict]}` }, t(`parts.${part.verdict}`)),
      part.reason ? element("small", { class: "quiet" }, ` ${t(`not_judged.${part.reason}`)}`) : null),
    element("td", { class: "number" }, part.score === null ? "–" : `${score(part.score)} / ${score(part.threshold)}`),
    element("td", {}, imageOf(part)));
}

// Of a bad part the alarm; of a good one its heatmap, if it was sampled.
function imageOf(part) {
  if (part.alarm) {
    const overlay = `/api/alarms/${part.alarm}/images/overlay?side=240`;
    return element("a", { href: `#/alarm/${part.alarm}` }, thumbnail(overlay, t("parts.alarm", { part: part.part })));
  }
  const heatmap = `/api/parts/${part.id}/heatmap`;
  const label = t("parts.heatmap", { part: part.part });
  return part.heatmap ? element("a", { href: heatmap, target: "_blank", rel: "noopener" }, thumbnail(`${heatmap}?side=240`, label)) : null;
}

function thumbnail(src, alt) {
  const image = element("img", {
    src, alt, loading: "lazy", width: 96, height: 72,
    onerror: () => image.classList.add("missing"),
  });
  return image;
}
