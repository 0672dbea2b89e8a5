// Filters of a list that are part of the address, so that a list can be sent to a colleague.

import { element } from "./dom.js";
import { t } from "./text.js";

export function filterQuery(query) {
  const text = query.toString();
  return text ? `?${text}` : "";
}

// The parameters of the request for a query of the address, whose times are local.
export function request(query, names) {
  const parameters = new URLSearchParams();
  for (const key of [...names, "score_from", "score_to"]) {
    if (query.get(key)) parameters.set(key, query.get(key));
  }
  for (const key of ["since", "until"]) {
    const at = query.get(key) ? new Date(query.get(key)) : null;
    if (at && !Number.isNaN(at.getTime())) parameters.set(key, at.toISOString());
  }
  return parameters;
}

// `fields`: those of this list, before those for time and score; `end`: buttons.
export function filterForm(screen, query, fields, end) {
  const form = element("form", { class: "filters card", onchange: apply, onsubmit: apply },
    fields, field(query, "since", "datetime-local"), field(query, "until", "datetime-local"),
    field(query, "score_from", "number", { min: 0, step: "any" }), field(query, "score_to", "number", { min: 0, step: "any" }),
    element("span", { class: "end" }, query.size ? element("a", { class: "button quiet", href: `#/${screen}` }, t("filter.clear")) : null, end));
  return element("details", { class: "filter", open: innerWidth > 760 || query.size > 0 }, element("summary", {}, t("filter.title")), form);

  function apply(event) {
    event.preventDefault();
    const chosen = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    location.hash = `#/${screen}${filterQuery(chosen)}`;
  }
}

export function field(query, name, type, more = {}) {
  return element("label", {}, t(`filter.${name}`), element("input", { name, type, value: query.get(name) ?? "", ...more }));
}

// One of several values; the one of the address is among them, whether it is known or not.
export function choice(query, name, values, label = (value) => value, title = t(`filter.${name}`)) {
  const wanted = query.get(name);
  const known = wanted && !values.includes(wanted) ? [...values, wanted] : values;
  return element("label", {}, title,
    element("select", { name }, element("option", { value: "" }, t("filter.all")),
      known.map((value) => element("option", { value, selected: wanted === value }, label(value)))));
}
