// The alarms of all cameras, the latest first.

import { get } from "../base/api.js";
import { element, notice, replace } from "../base/dom.js";
import { t } from "../base/text.js";
import { alarmTable } from "./alarm_table.js";

const PAGE = 200;

export function alarmsScreen(main, _, query) {
  const box = element("div", { class: "history" });
  const more = element("button", { class: "more", hidden: true, onclick: () => load() }, t("alarms.more"));
  const choice = (name, values, prefix) => element("label", {}, t(`filter.${name}`), element("select", { name }, element("option", { value: "" }, t("filter.all")),
    values.map((value) => element("option", { value, selected: query.get(name) === value }, t(`${prefix}.${value}`)))));
  const form = element("form", { class: "filters card", onchange: apply, onsubmit: apply },
    choice("verdict", ["unjudged", "true", "false"], "judged"), choice("kind", ["defect", "camera"], "kind"));
  replace(main, element("h1", { class: "hidden" }, t("nav.alarms")), form, box, more);
  let before = null;

  async function load() {
    const parameters = new URLSearchParams(query);
    if (before) parameters.set("before", before);
    try {
      const { alarms } = await get(`/api/alarms?${parameters}`);
      if (alarms.length) box.append(alarmTable(alarms, true));
      if (!box.children.length) box.append(element("p", { class: "empty" }, t("alarms.none")));
      before = alarms.at(-1)?.received_at;
      more.hidden = alarms.length < PAGE;
    } catch (error) {
      notice(error.status ? error.message : t("fleet.health.page"), "error");
    }
  }

  function apply(event) {
    event.preventDefault();
    const chosen = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    location.hash = `#/alarms${chosen.size ? `?${chosen}` : ""}`;
  }

  load();
}
