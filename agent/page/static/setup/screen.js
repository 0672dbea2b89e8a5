// Setting up one camera: from the first window to armed, recalibration with its preview, earlier calibrations.

import { may, offers, post } from "../base/api.js";
import { element, notice, replace, setText } from "../base/dom.js";
import { listen, now } from "../base/events.js";
import { t } from "../base/text.js";
import { liveImage } from "../live/image.js";
import { drawVerdict } from "../live/verdict.js";
import { calibrationList } from "./calibrations.js";
import { recalibration } from "./recalibration.js";
import { viewEditor } from "./view.js";
import { windowReview } from "./window.js";

export function setupScreen(main, [wanted]) {
  let closeParts = () => {};
  let shown = null;

  function draw() {
    const cameras = Object.keys(now.status?.cameras ?? {});
    const camera = cameras.includes(wanted) ? wanted : cameras[0];
    if (!camera) {
      if (shown === null) replace(main, element("p", { class: "empty" }, now.gone ? t("health.gone") : t("live.waiting")));
      return;
    }
    if (shown === camera) return;
    shown = camera;
    closeParts();
    closeParts = drawCamera(main, camera, cameras);
  }

  draw();
  const forget = listen(draw);
  return () => { forget(); closeParts(); };
}

function drawCamera(main, camera, cameras) {
  const image = liveImage(camera, { side: 480, label: t("live.image", { camera }) });
  image.showHeat(localStorage.getItem("heat") !== "off");
  const verdict = element("div", { class: "verdict small", role: "status" });
  const bar = element("progress", { class: "window", max: 1, "aria-label": t("phase.calibrating") });
  const promise = element("p", { class: "promise", lang: "en" });
  const reason = element("p", { class: "promise problem", lang: "en" });
  const steps = element("ol", { class: "steps" });
  const review = windowReview(camera);
  const again = recalibration(camera);
  const list = calibrationList(camera);
  const editor = viewEditor(camera, { reload: readSettings });
  const choice = cameras.length < 2 ? null : element("select", {
    "aria-label": t("filter.camera"), onchange: () => { location.hash = `#/setup/${encodeURIComponent(choice.value)}`; },
  }, cameras.map((name) => element("option", { value: name, selected: name === camera }, name)));

  replace(main, element("div", { class: "setup" },
    element("header", {}, element("h1", {}, t("setup.title", { camera })), choice,
      may("engineer") && offers("reload") ? element("button", { onclick: readSettings }, t("setup.reload")) : null),
    element("section", { class: "card now" },
      element("div", { class: "frame" }, image.canvas),
      element("div", { class: "stack" }, steps, verdict, bar, promise, reason)),
    review.box, editor.box, again.box, list.box));

  let before = "";
  function draw() {
    const state = now.status?.cameras[camera];
    drawVerdict(verdict, camera);
    if (!state) return;
    bar.hidden = !state.progress;
    if (state.progress) bar.value = state.progress.frames / state.progress.wanted;
    setText(promise, state.promise ?? "");
    // Elsewhere it is in the verdict.
    setText(reason, ["armed", "calibrating"].includes(state.phase) ? state.reason ?? "" : "");
    drawSteps(steps, state);
    const key = `${state.phase} ${state.reason} ${state.calibration}`;
    if (key !== before) { before = key; review.load(); list.load(); }
    again.draw(state, now.status.recalibrations?.[camera]);
  }

  draw();
  const forget = listen(draw);
  return () => { forget(); image.close(); editor.close(); };
}

// Where a new camera is on its way: image, good parts, decision, armed.
function drawSteps(list, state) {
  const reached = { starting: 0, camera_lost: 0, calibrating: 1, refused: 2, armed: 3, paused: 3, blind: 3, stopped: 0 }[state.phase] ?? 0;
  const at = state.phase === "paused" && !state.calibration ? 1 : reached;
  const key = String(at);
  if (list.dataset.at === key) return;
  list.dataset.at = key;
  replace(list, ["image", "learn", "decide", "armed"].map((name, index) =>
    element("li", { class: index < at ? "done" : index === at ? "here" : "", "aria-current": index === at ? "step" : null }, t(`step.${name}`))));
}

async function readSettings() {
  try {
    const found = await post("/api/reload");
    const lines = ["changed", "at_next_calibration", "needs_restart"].filter((key) => found[key].length).map((key) => `${t(`reload.${key}`)}: ${found[key].join(", ")}`);
    notice(lines.join("; ") || t("reload.nothing"));
  } catch (error) {
    notice(error.message, "error");
  }
}
