// Which rows are shown, and in which order.

import { condition, severityOf } from "./conditions.js";

const names = new Intl.Collator(undefined, { numeric: true });

const ORDERS = {
  problem: (a, b) => b.severity - a.severity || b.conditions.length - a.conditions.length,
  site: () => 0,
  product: (a, b) => names.compare(a.product ?? "", b.product ?? ""),
  alarms: (a, b) => a.alarms - b.alarms,
  ok: (a, b) => (a.ok ?? -1) - (b.ok ?? -1),
  nok: (a, b) => (a.nok ?? -1) - (b.nok ?? -1),
  yield: (a, b) => (a.yield ?? 2) - (b.yield ?? 2),
  version: (a, b) => names.compare(a.version ?? "", b.version ?? ""),
  bundle: (a, b) => names.compare(a.bundle ?? "", b.bundle ?? ""),
  waiting: (a, b) => (a.waiting ?? -1) - (b.waiting ?? -1),
};

export function arrange(rows, query) {
  const words = (query.get("search") ?? "").toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const site = query.get("site");
  const wanted = query.get("condition");
  const severity = severityOf(query.get("severity"));
  const found = rows.filter((row) =>
    (!site || row.site === site) && (!wanted || row.conditions.includes(wanted)) && (severity === undefined || row.severity === severity) &&
    words.every((word) => textOf(row).includes(word)));
  const order = ORDERS[query.get("sort")] ?? ORDERS.problem;
  const way = query.get("down") === "1" ? -1 : 1;
  return found.sort((a, b) => way * order(a, b) || (order === ORDERS.site ? way : 1) * (names.compare(a.site, b.site) || names.compare(a.camera ?? "", b.camera ?? "")) || (a.key < b.key ? -1 : 1));
}

function textOf(row) {
  return [row.agent, row.site, row.camera, ...(row.cameras ?? []), row.product, row.bundle, row.bundle_id, row.version, row.text, ...row.conditions.map(condition)]
    .filter(Boolean).join(" ").toLocaleLowerCase();
}
