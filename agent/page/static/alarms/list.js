// The list of alarms, with filters that are part of the address, so that a list can be sent to a colleague.

import { get, may, offers, post } from "../base/api.js";
import { element, notice, replace } from "../base/dom.js";
import { now } from "../base/events.js";
import { t, whole } from "../base/text.js";
import { alarmCard } from "./card.js";

const PAGE = 60;

export function filterQuery(query) {
  const text = query.toString();
  return text ? `?${text}` : "";
}

export function alarmsScreen(main, _, query) {
  const cards = element("div", { class: "cards" });
  const counts = element("p", { class: "counts", role: "status" });
  const more = element("button", { class: "more", hidden: true, onclick: () => load() }, t("alarms.more"));
  replace(main, element("h1", { class: "hidden" }, t("nav.alarms")), filters(query), counts, cards, more);
  let before = null;
  let loading = false;

  async function load() {
    if (loading) return;
    loading = true;
    const parameters = request(query);
    parameters.set("limit", PAGE);
    if (before) parameters.set("before", before);
    try {
      const found = await get(`/api/alarms?${parameters}`);
      const { alarms, true: yes, false: no, unjudged } = found.counts;
      counts.textContent = t("alarms.counts", { alarms: whole(alarms), yes: whole(yes), no: whole(no), unjudged: whole(unjudged) });
      for (const alarm of found.alarms) cards.append(alarmCard(alarm, filterQuery(query)));
      if (!cards.children.length) cards.append(element("p", { class: "empty" }, t("alarms.none")));
      before = found.alarms.at(-1)?.id;
      more.hidden = found.alarms.length < PAGE;
    } catch (error) {
      notice(error.document?.temporary ? t("health.gone") : error.message, "error");
    }
    loading = false;
  }

  load();
}

// The parameters of the request for a query of the address, whose times are local.
export function request(query) {
  const parameters = new URLSearchParams();
  for (const key of ["camera", "verdict", "kind", "score_from", "score_to"]) {
    if (query.get(key)) parameters.set(key, query.get(key));
  }
  for (const key of ["since", "until"]) {
    const at = query.get(key) ? new Date(query.get(key)) : null;
    if (at && !Number.isNaN(at.getTime())) parameters.set(key, at.toISOString());
  }
  return parameters;
}

function filters(query) {
  const cameras = Object.keys(now.status?.cameras ?? {});
  if (query.get("camera") && !cameras.includes(query.get("camera"))) cameras.push(query.get("camera"));
  const choice = (name, values, label) => element("label", {}, t(`filter.${name}`),
    element("select", { name }, element("option", { value: "" }, t("filter.all")),
      values.map((value) => element("option", { value, selected: query.get(name) === value }, label(value)))));
  const field = (name, type, more = {}) => element("label", {}, t(`filter.${name}`), element("input", { name, type, value: query.get(name) ?? "", ...more }));
  const form = element("form", { class: "filters card", onchange: apply, onsubmit: apply },
    choice("camera", cameras, (value) => value),
    choice("verdict", ["unjudged", "true", "false"], (value) => t(`judged.${value}`)),
    choice("kind", ["defect", "camera"], (value) => t(`kind.${value}`)),
    field("since", "datetime-local"), field("until", "datetime-local"),
    field("score_from", "number", { min: 0, step: "any" }), field("score_to", "number", { min: 0, step: "any" }),
    element("span", { class: "end" },
      element("a", { class: "button", href: `/api/alarms.csv?${limited(request(query))}`, download: "alarms.csv" }, t("alarms.table")),
      may("engineer") && offers("alarms/export") ? element("button", { type: "button", onclick: exportImages }, t("alarms.export")) : null));
  return element("details", { class: "filter", open: innerWidth > 760 || query.size > 0 }, element("summary", {}, t("filter.title")), form);

  function apply(event) {
    event.preventDefault();
    const chosen = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    location.hash = `#/alarms${filterQuery(chosen)}`;
  }
}

function limited(parameters) {
  parameters.set("limit", "10000");
  return parameters;
}

async function exportImages() {
  try {
    const done = await post("/api/alarms/export");
    notice(t("alarms.exported", { directory: done.directory, good: whole(done.good), bad: whole(done.bad) }));
  } catch (error) {
    notice(error.message, "error");
  }
}
