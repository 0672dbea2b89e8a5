// The verdict that a person reads from three metres: of the last part, or why there is none. Of a camera, or of a group
// of cameras that see the same part; the place of a group is parts/NAME.

import { icon, setText } from "../base/dom.js";
import { now } from "../base/events.js";
import { clock, t, whole } from "../base/text.js";

// A bad part stays in view for so long, however short its alarm.
const HOLD_BAD_MS = 2500;

// Of each camera: when a bad part was last seen, and the part, which is not known if it came and went between two looks.
const lastBad = new Map();
const badCounts = new Map();

// A part that has no name of its own is known by the time of its first frame.
const NAMED_BY_TIME = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;

const PHASES = {
  starting: "wait", calibrating: "wait", refused: "warn", paused: "pause", camera_lost: "warn", blind: "warn", no_product: "warn", stopped: "pause",
};

const GROUPS = "parts/";

export function placeOf(group) {
  return GROUPS + group;
}

// What is known of a group; undefined for a camera.
export function groupOf(place) {
  return place.startsWith(GROUPS) ? now.status?.parts?.[place.slice(GROUPS.length)] : undefined;
}

// kind: good, bad, wait, pause, warn; word: the large text; detail: the line below it.
function verdictOf(camera, at) {
  if (now.gone) return { kind: "warn", word: t("verdict.gone"), detail: t("health.gone") };
  if (!now.connected) return { kind: "warn", word: t("verdict.gone"), detail: t("health.offline") };
  const group = groupOf(camera);
  if (group) return ofGroup(camera, group, at);
  const state = now.status?.cameras[camera];
  if (!state) return { kind: "wait", word: t("verdict.wait"), detail: "" };
  if (state.phase !== "armed") {
    return { kind: PHASES[state.phase] ?? "warn", word: t(`phase.${state.phase}`), detail: phaseDetail(state) };
  }
  return armed(camera, state, at);
}

export function phaseDetail(state) {
  if (state.progress) {
    return t("phase.progress", { done: whole(state.progress.frames), all: whole(state.progress.wanted) });
  }
  return state.reason ?? t(`phase.${state.phase}.detail`);
}

// A camera that does not judge comes first: without its view, no part is good.
function ofGroup(place, group, at) {
  const idle = group.cameras.find((camera) => now.status.cameras[camera] && now.status.cameras[camera].phase !== "armed");
  if (idle) {
    const state = now.status.cameras[idle];
    return { kind: PHASES[state.phase] ?? "warn", word: t(`phase.${state.phase}`), detail: `${idle}: ${phaseDetail(state)}` };
  }
  const part = group.latest;
  noteBad(place, group.shift_parts.nok, null, part, at);
  if (heldBad(place, at) || part?.verdict === "nok") return { kind: "bad", word: t("verdict.bad"), detail: partDetail(shownPart(place, at)) };
  if (!part) return { kind: "wait", word: t("verdict.wait"), detail: t("verdict.no_part") };
  if (part.verdict === "ok") return { kind: "good", word: t("verdict.good"), detail: partDetail(part) };
  const why = part.missing.length ? t("not_judged.missing", { cameras: part.missing.join(", ") }) : t(`not_judged.${part.reason}`);
  return { kind: "wait", word: t("verdict.not_judged"), detail: why };
}

function armed(camera, state, at) {
  const found = now.scores.get(camera);
  const part = found?.part;
  noteBad(camera, state.parts?.nok ?? 0, found?.alarm, part, at);
  if (heldBad(camera, at) || found?.alarm || part?.verdict === "nok") {
    return { kind: "bad", word: t("verdict.bad"), detail: partDetail(shownPart(camera, at)) };
  }
  if (part?.verdict === "not_judged") return { kind: "wait", word: t("verdict.not_judged"), detail: t(`not_judged.${part.reason}`) };
  if (state.frames_per_second === null) return { kind: "wait", word: t("verdict.wait"), detail: t("verdict.no_frames") };
  return { kind: "good", word: t("verdict.good"), detail: partDetail(part) };
}

// Two bad parts may lie between two looks: the count shows them.
function noteBad(camera, bad, alarm, latest, at) {
  const before = badCounts.get(camera);
  badCounts.set(camera, bad);
  const part = latest?.verdict === "nok" ? latest : null;
  if (part && part.part === lastBad.get(camera)?.part?.part) return;
  if ((before !== undefined && bad > before) || alarm || part) {
    lastBad.set(camera, { at, part: part ?? heldBad(camera, at)?.part ?? null });
  }
}

export function heldBad(camera, at = Date.now()) {
  const held = lastBad.get(camera);
  return held && at - held.at < HOLD_BAD_MS ? held : null;
}

// The part that the verdict is about: the last one, or the bad one that stays in view.
export function shownPart(camera, at) {
  const held = heldBad(camera, at);
  return held ? held.part : groupOf(camera)?.latest ?? now.scores.get(camera)?.part;
}

function partDetail(part) {
  if (!part) return "";
  const name = t("verdict.part", { part: NAMED_BY_TIME.test(part.part) ? clock(part.part) : part.part });
  const bad = (part.views ?? []).filter((view) => view.verdict === "nok").map((view) => view.camera);
  return bad.length ? `${name}: ${bad.join(", ")}` : name;
}

// In letters of the Latin alphabet; those of Korean are twice as wide.
function width(word) {
  return [...word].reduce((sum, letter) => sum + (letter.codePointAt(0) > 0x1100 ? 1.6 : 1), 0);
}

// `at`: the time of this look; whoever shows more about the part passes the same one to `shownPart`.
export function drawVerdict(box, camera, at = Date.now()) {
  const { kind, word, detail } = verdictOf(camera, at);
  if (box.dataset.kind !== kind) {
    box.dataset.kind = kind;
    box.replaceChildren();
    box.append(icon(kind), document.createElement("strong"), document.createElement("span"));
  }
  setText(box.querySelector("strong"), word);
  box.style.setProperty("--letters", String(Math.max(4, width(word))));
  setText(box.querySelector("span"), detail);
  return kind;
}
