// The live image of a camera: asked for one after the other, ten a second at most, and only while it is seen.

import { element } from "../base/dom.js";
import { heldBad } from "./verdict.js";

const INTERVAL_MS = 100;
const RETRY_MS = 1000;

// A bad part stays in view as long as its verdict does: at 20 frames a second nobody would see it. The verdict of an image
// comes so much later.
const VERDICT_MS = 1000;

export function liveImage(camera, { side = 960, label = "" } = {}) {
  const canvas = element("canvas", { class: "image", role: "img", "aria-label": label, width: 4, height: 3 });
  const context = canvas.getContext("2d");
  const seen = { visible: true };
  const observer = new IntersectionObserver((entries) => { seen.visible = entries.at(-1).isIntersecting; });
  observer.observe(canvas);
  let running = true;
  let heat = true;
  let last = null;
  let shownAt = -Infinity;

  async function loop() {
    while (running) {
      const began = performance.now();
      const wait = document.hidden || !seen.visible ? RETRY_MS : await step();
      await new Promise((done) => setTimeout(done, Math.max(10, wait - (performance.now() - began))));
    }
  }

  async function step() {
    try {
      const after = last ? `&after=${last.found.frame}` : "";
      const response = await fetch(`/api/cameras/${encodeURIComponent(camera)}/live?side=${side}${after}`);
      if (response.status === 200) await take(await response.json());
      canvas.classList.toggle("stale", !response.ok);
      return response.ok ? INTERVAL_MS : RETRY_MS;
    } catch {
      canvas.classList.add("stale");
      return RETRY_MS;
    }
  }

  async function take(found) {
    if (isAbove(found)) shownAt = performance.now();
    else if (last && isAbove(last.found) && (heldBad(camera) || performance.now() - shownAt < VERDICT_MS)) {
      last.found = { ...last.found, frame: found.frame };
      return;
    }
    const [image, layer] = await Promise.all([bitmap(found.image, "image/jpeg"), bitmap(found.heat, "image/png")]);
    last?.image.close();
    last?.layer.close();
    last = { found, image, layer };
    if (canvas.width !== image.width || canvas.height !== image.height) {
      canvas.width = image.width;
      canvas.height = image.height;
    }
    draw();
  }

  function draw() {
    if (!last) return;
    const { found, image, layer } = last;
    context.drawImage(image, 0, 0);
    if (!heat) return;
    context.imageSmoothingQuality = "high";
    context.drawImage(layer, 0, 0, image.width, image.height);
    if (isAbove(found)) drawRegions(context, found.regions, image);
  }

  loop();
  return {
    canvas,
    showHeat(wanted) { heat = wanted; draw(); },
    close() { running = false; observer.disconnect(); },
  };
}

function isAbove(found) {
  return found.threshold !== null && (found.statistic ?? found.score) > found.threshold;
}

export function drawRegions(context, regions, { width, height }) {
  const unit = Math.max(1, Math.max(width, height) / 480);
  for (const region of regions) {
    const margin = 4 * unit;
    const box = [region.x * width - margin, region.y * height - margin, region.width * width + 2 * margin, region.height * height + 2 * margin];
    context.lineWidth = 4 * unit;
    context.strokeStyle = "#111";
    context.strokeRect(...box);
    context.lineWidth = 2 * unit;
    context.strokeStyle = "#fff";
    context.strokeRect(...box);
  }
}

async function bitmap(base64, type) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return createImageBitmap(new Blob([bytes], { type }));
}
