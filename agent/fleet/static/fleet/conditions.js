// What may be wrong with a camera, by how soon a person should look. The words are in the translations.

import { t } from "../base/text.js";

export const KINDS = [
  { name: "problem", severity: 3, conditions: ["offline", "silent", "camera_lost", "blind", "refused", "no_product"] },
  { name: "attention", severity: 2, conditions: ["promise_broken", "alarm", "problems", "clock", "backlog", "drift"] },
  { name: "wait", severity: 1, conditions: ["stopped", "paused", "starting", "calibrating", "unknown"] },
  { name: "good", severity: 0, conditions: ["armed"] },
];

const KIND_OF = new Map(KINDS.flatMap((kind) => kind.conditions.map((name) => [name, kind.name])));

export function condition(name) {
  return t(`fleet.condition.${name}`);
}

export function kindOf(name) {
  return KIND_OF.get(name) ?? "wait";
}

export function severityOf(name) {
  return KINDS.find((kind) => kind.name === name)?.severity;
}
