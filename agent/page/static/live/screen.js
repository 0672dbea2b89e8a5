// The live screen: all cameras as tiles, or one with everything about it.

import { element, replace } from "../base/dom.js";
import { listen, now } from "../base/events.js";
import { t } from "../base/text.js";
import { cameraTile } from "./tile.js";
import { cameraDetail } from "./detail.js";

export function liveScreen(main, [wantedCamera]) {
  let closeParts = [];
  let shown = "";
  const box = element("div", { class: "live" });
  replace(main, box);

  function draw() {
    const cameras = Object.keys(now.status?.cameras ?? {});
    const camera = wantedCamera ?? (cameras.length === 1 ? cameras[0] : null);
    const key = `${camera} ${cameras.join(" ")} ${now.status ? "" : now.gone ? "gone" : "waiting"}`;
    if (key === shown) return;
    if (!now.status && shown && !closeParts.length === false) return;
    shown = key;
    closeAll();
    if (!now.status) {
      replace(box, element("p", { class: "empty" }, now.gone ? t("health.gone") : t("live.waiting")));
    } else if (camera && cameras.includes(camera)) {
      closeParts = [cameraDetail(box, camera, cameras.length > 1)];
    } else {
      const tiles = cameras.map((name) => cameraTile(name));
      replace(box, element("h1", { class: "hidden" }, t("nav.live")), element("div", { class: "tiles" }, tiles.map(([node]) => node)));
      closeParts = tiles.map(([, close]) => close);
    }
  }

  function closeAll() {
    for (const close of closeParts) close();
    closeParts = [];
  }

  draw();
  const forget = listen(draw);
  return () => { forget(); closeAll(); };
}
