// Training: choose good images, watch the progress, look at what came of it, take it over or drop it.

import { get, may, post } from "../base/api.js";
import { element, notice, replace } from "../base/dom.js";
import { listen, now } from "../base/events.js";
import { percent, t } from "../base/text.js";
import { snippet } from "../setup/view.js";
import { chooser } from "./choose.js";
import { outcome } from "./outcome.js";

export function trainingScreen(main, [wanted]) {
  const box = element("div", { class: "setup" });
  const part = element("div", { class: "setup" });
  replace(main, box);
  let shown = null;
  let camera = null;
  let progress = null;

  async function load() {
    const cameras = Object.keys(now.status?.cameras ?? {});
    if (!cameras.length || !may("engineer")) {
      replace(box, element("p", { class: "empty" }, may("engineer") ? t("live.waiting") : t("train.denied")));
      return;
    }
    camera = cameras.includes(wanted) ? wanted : cameras[0];
    const found = await get("/api/training").catch((error) => { notice(error.message, "error"); });
    if (!found) return;
    shown = found.state;
    replace(box, header(cameras), part);
    draw(found);
  }

  function header(cameras) {
    const choice = cameras.length < 2 ? null : element("select", {
      "aria-label": t("filter.camera"), onchange: () => { location.hash = `#/training/${encodeURIComponent(choice.value)}`; },
    }, cameras.map((name) => element("option", { value: name, selected: name === camera }, name)));
    return element("header", {}, element("h1", {}, t("train.title", { camera })), choice);
  }

  function draw(found) {
    progress = null;
    if (found.state === "running") progress = running();
    else if (found.state === "done") replace(part, outcome(found, { decided: load }));
    else replace(part, ended(found), found.missing ? elsewhere(found) : chooser(camera, { started: load }));
    if (progress) { replace(part, progress.box); progress.set(now.training ?? found); }
  }

  function ended(found) {
    if (found.state === "failed") return element("p", { class: "card problem", role: "alert" }, t("train.failed"), " ", element("span", { lang: "en" }, found.reason));
    return found.state === "cancelled" ? element("p", { class: "card" }, t("train.cancelled")) : null;
  }

  function onEvent(kind) {
    if (kind !== "training" && !(kind === "status" && shown === null)) return;
    if (shown === null || now.training.state !== shown) load();
    else if (progress) progress.set(now.training);
  }

  load();
  return listen(onEvent);
}

// A device without what training needs.
function elsewhere({ missing, service }) {
  const train = "inspectd alarms export IMAGES --config FILE\ninspectd train --normal IMAGES/good --out NEW.bundle";
  const install = "pip install 'inspectd[train]'";
  return element("section", { class: "card stack" }, element("h2", {}, t("train.missing")),
    service ? [element("p", {}, t("train.service")), snippet(`${install}\n${train}`)]
      : [element("p", { class: "quiet", lang: "en" }, missing), element("p", {}, t("train.install")), snippet(install),
        element("p", {}, t("train.elsewhere")), snippet(train)]);
}

function running() {
  const bar = element("progress", { class: "window", max: 1, "aria-label": t("train.running") });
  const words = element("p", { role: "status" });
  const message = element("p", { class: "quiet", lang: "en" });
  const button = element("button", { onclick: async () => {
    button.disabled = true;
    await post("/api/training/cancel").catch((error) => { button.disabled = false; notice(error.message, "error"); });
  } }, t("train.cancel"));
  const box = element("section", { class: "card stack" }, element("h2", {}, t("train.running")), words, bar, message,
    element("p", { class: "quiet" }, t("train.leave")), element("div", { class: "actions row" }, button));
  return {
    box,
    set(found) {
      if (found.state !== "running") return;
      bar.value = found.fraction ?? 0;
      words.textContent = `${t(`train.step.${found.step}`)}, ${percent(found.fraction ?? 0, 1)}`;
      message.textContent = found.message ?? "";
    },
  };
}
