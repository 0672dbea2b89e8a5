// One camera among several: its image, its verdict, its name.

import { element, setText } from "../base/dom.js";
import { listen, now } from "../base/events.js";
import { t, tenths } from "../base/text.js";
import { liveImage } from "./image.js";
import { drawVerdict } from "./verdict.js";

export function cameraTile(camera) {
  const image = liveImage(camera, { side: 480, label: t("live.image", { camera }) });
  const verdict = element("div", { class: "verdict small", role: "status" });
  const rate = element("span", { class: "quiet" });
  const node = element("a", { class: "tile card", href: `#/live/${encodeURIComponent(camera)}` },
    element("div", { class: "frame" }, image.canvas), verdict,
    element("div", { class: "name" }, element("b", {}, camera), rate));

  function draw() {
    node.dataset.kind = drawVerdict(verdict, camera);
    const frames = now.status?.cameras[camera]?.frames_per_second;
    setText(rate, frames ? t("live.rate", { rate: tenths(frames) }) : "");
  }

  draw();
  const forget = listen(draw);
  return [node, () => { forget(); image.close(); }];
}
