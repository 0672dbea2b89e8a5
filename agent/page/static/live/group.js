// Cameras that see the same part: its one verdict, what each of them found, and their numbers together.

import { element, icon, replace, setText } from "../base/dom.js";
import { listen } from "../base/events.js";
import { percent, score, t, whole } from "../base/text.js";
import { drawRows } from "./facts.js";
import { liveImage } from "./image.js";
import { drawVerdict, groupOf, placeOf, shownPart } from "./verdict.js";

const TICK_MS = 500;

export function groupTile(name) {
  const place = placeOf(name);
  const verdict = element("div", { class: "verdict small", role: "status" });
  const cameras = element("span", { class: "quiet" });
  const facts = element("dl", { class: "facts" });
  const node = element("a", { class: "tile card", href: `#/live/${encodeURIComponent(place)}` },
    verdict, element("div", { class: "name" }, element("b", {}, name), cameras), facts);

  function draw() {
    node.dataset.kind = drawVerdict(verdict, place);
    const group = groupOf(place);
    if (!group) return;
    setText(cameras, group.cameras.join(" + "));
    drawNumbers(facts, group);
  }

  draw();
  const forget = listen(draw);
  return [node, forget];
}

export function groupDetail(box, name) {
  const place = placeOf(name);
  const verdict = element("div", { class: "verdict", role: "status", "aria-live": "polite" });
  const facts = element("dl", { class: "facts" });
  const views = element("div", { class: "tiles" });
  let shown = [];
  replace(box, element("div", { class: "joined" },
    element("header", {},
      element("a", { class: "button quiet back", href: "#/live", "aria-label": t("live.all") }, icon("left")), element("h1", {}, name)),
    verdict, element("section", { class: "card" }, facts), views));

  function draw() {
    const at = Date.now();
    drawVerdict(verdict, place, at);
    const group = groupOf(place);
    if (!group) return;
    drawNumbers(facts, group);
    if (shown.map((view) => view.camera).join() !== group.cameras.join()) {
      close();
      shown = group.cameras.map(viewOf);
      replace(views, shown.map((view) => view.node));
    }
    for (const view of shown) view.draw(shownPart(place, at));
  }

  function close() {
    for (const view of shown) view.image.close();
  }

  draw();
  const forget = listen(draw);
  const ticking = setInterval(() => drawVerdict(verdict, place), TICK_MS);
  return () => { forget(); clearInterval(ticking); close(); };
}

// The live image of one of the cameras, and what it found about the latest part.
function viewOf(camera) {
  const image = liveImage(camera, { side: 480, label: t("live.image", { camera }) });
  const badge = element("span", { class: "badge" });
  const value = element("span", { class: "quiet" });
  const node = element("a", { class: "tile card", href: `#/live/${encodeURIComponent(camera)}` },
    element("div", { class: "frame" }, image.canvas), element("div", { class: "name" }, element("b", {}, camera), badge), value);

  function draw(part) {
    const view = part?.views?.find((each) => each.camera === camera);
    const verdict = view?.verdict ?? (part?.missing?.includes(camera) ? "missing" : "none");
    badge.className = `badge ${{ ok: "false", nok: "true" }[verdict] ?? ""}`;
    setText(badge, { ok: t("verdict.good"), nok: t("verdict.bad"), not_judged: t("verdict.not_judged"), missing: t("group.missing") }[verdict] ?? "–");
    setText(value, view?.score === null || view?.score === undefined ? "" : `${score(view.score)} / ${score(view.threshold)}`);
  }

  return { camera, node, image, draw };
}

function drawNumbers(list, group) {
  const parts = group.shift_parts;
  drawRows(list, [
    [t("fact.good"), whole(parts.ok)],
    [t("fact.bad"), whole(parts.nok)],
    [t("fact.yield"), parts.first_pass_yield === null ? "–" : percent(parts.first_pass_yield, 1)],
    parts.not_judged ? [t("fact.not_judged"), whole(parts.not_judged)] : null,
    group.waiting ? [t("group.waiting"), whole(group.waiting)] : null,
    group.late_views ? [t("group.late"), whole(group.late_views), true] : null,
  ]);
}
