// The live screen: all cameras as tiles, or one with everything about it.

import { element, replace } from "../base/dom.js";
import { listen, now } from "../base/events.js";
import { t } from "../base/text.js";
import { cameraTile } from "./tile.js";
import { cameraDetail } from "./detail.js";
import { groupDetail, groupTile } from "./group.js";
import { placeOf } from "./verdict.js";

export function liveScreen(main, [wantedCamera]) {
  let closeParts = [];
  let shown = "";
  const box = element("div", { class: "live" });
  replace(main, box);

  function draw() {
    const cameras = Object.keys(now.status?.cameras ?? {});
    const groups = Object.keys(now.status?.parts ?? {});
    const group = groups.find((name) => placeOf(name) === wantedCamera);
    const camera = wantedCamera ?? (cameras.length === 1 ? cameras[0] : null);
    const key = `${camera} ${cameras.join(" ")} ${groups.join(" ")} ${now.status ? "" : now.gone ? "gone" : "waiting"}`;
    if (key === shown) return;
    if (!now.status && shown && !closeParts.length === false) return;
    shown = key;
    closeAll();
    if (!now.status) {
      replace(box, element("p", { class: "empty" }, now.gone ? t("health.gone") : t("live.waiting")));
    } else if (group) {
      closeParts = [groupDetail(box, group)];
    } else if (camera && cameras.includes(camera)) {
      closeParts = [cameraDetail(box, camera, cameras.length > 1)];
    } else {
      const tiles = [...groups.map(groupTile), ...cameras.map(cameraTile)];
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
