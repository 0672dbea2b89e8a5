// The list of alarms, with filters that are part of the address, so that a list can be sent to a colleague.

import { get, may, offers, post } from "../base/api.js";
import { element, notice, replace } from "../base/dom.js";
import { choice, field, filterForm, filterQuery, request } from "../base/filters.js";
import { now } from "../base/events.js";
import { t, whole } from "../base/text.js";
import { alarmCard } from "./card.js";

const PAGE = 60;

const NAMES = ["camera", "product", "verdict", "kind"];

export const alarmRequest = (query) => request(query, NAMES);

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
    const parameters = alarmRequest(query);
    parameters.set("limit", PAGE);
    if (before) parameters.set("before", before);
    try {
      const found = await get(`/api/alarms?${parameters}`);
      const { alarms, true: yes, false: no, unjudged } = found.counts;
      const all = t("alarms.counts", { alarms: whole(alarms), yes: whole(yes), no: whole(no), unjudged: whole(unjudged) });
      counts.textContent = query.size ? `${t("alarms.found", { found: whole(found.found) })} · ${all}` : all;
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

function filters(query) {
  const states = now.status?.cameras ?? {};
  return filterForm("alarms", query, [
    choice(query, "camera", Object.keys(states)),
    hasProducts(query) ? field(query, "product", "text", { maxlength: 64 }) : null,
    choice(query, "verdict", ["unjudged", "true", "false"], (value) => t(`judged.${value}`)),
    choice(query, "kind", ["defect", "camera"], (value) => t(`kind.${value}`)),
  ], [
    element("a", { class: "button", href: `/api/alarms.csv?${limited(alarmRequest(query))}`, download: "alarms.csv" }, t("alarms.table")),
    may("engineer") && offers("alarms/export") ? element("button", { type: "button", onclick: exportImages }, t("alarms.export")) : null,
  ]);
}

// Whether to offer the filter at all: most lines have one product.
export function hasProducts(query) {
  const states = Object.values(now.status?.cameras ?? {});
  return Boolean(query.get("product")) || states.some((state) => state.product || state.phase === "no_product");
}

export function limited(parameters) {
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
