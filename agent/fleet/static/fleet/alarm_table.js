// Alarms of the history as a table.

import { element } from "../base/dom.js";
import { moment, score, t } from "../base/text.js";

export function alarmTable(alarms, withCamera) {
  const columns = ["raised", ...(withCamera ? ["camera"] : []), "kind", "score", "cleared", "verdict", "words"];
  return element("table", { class: "alarms" },
    element("thead", {}, element("tr", {}, columns.map((name) => element("th", { scope: "col" }, t(`fleet.alarm.${name}`))))),
    element("tbody", {}, alarms.map((alarm) => element("tr", {}, columns.map((name) => element("td", { data: { name: t(`fleet.alarm.${name}`) } }, CELLS[name](alarm)))))));
}

const CELLS = {
  raised: (alarm) => [alarm.raised_at ? moment(alarm.raised_at * 1000) : "–", alarm.clock === "unsynchronised" ? element("small", {}, ` ${t("fleet.condition.clock")}`) : null],
  camera: (alarm) => [element("b", {}, alarm.camera), " ", element("small", {}, alarm.agent)],
  kind: (alarm) => t(`kind.${alarm.kind}`),
  score: (alarm) => `${score(alarm.score)} / ${score(alarm.threshold)}`,
  cleared: (alarm) => (alarm.cleared_at ? moment(alarm.cleared_at * 1000) : t("fact.active")),
  verdict: (alarm) => (alarm.verdict ? [element("span", { class: `badge ${alarm.verdict}` }, t(`judged.${alarm.verdict}`)), " ", element("small", {}, alarm.judged_by ?? "")] : t("judged.unjudged")),
  words: (alarm) => [alarm.defect, alarm.note, alarm.reason, alarm.origin].filter(Boolean).join("; ") || "–",
};
