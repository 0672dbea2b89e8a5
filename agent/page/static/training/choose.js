// The good images that a model is trained on, and how.

import { get, post, sendFile } from "../base/api.js";
import { element, notice, replace } from "../base/dom.js";
import { count, t, whole } from "../base/text.js";

const SHOWN = 60;
const RECIPES = ["pretrained", "scratch"];

export function chooser(camera, { started }) {
  const path = `/api/cameras/${encodeURIComponent(camera)}/training-images`;
  const leftOut = new Set();
  const use = { uploads: true, sample: true, false_alarm: true };
  const groups = element("div", { class: "setup" });
  const sum = element("p", { role: "status" });
  const button = element("button", { class: "main", type: "submit" }, t("train.start"));
  const minutes = element("input", { type: "number", id: "minutes", min: 0.1, max: 600, step: "any", value: 10 });
  const steps = element("input", { type: "number", id: "steps", min: 1, max: 1000000, step: 1 });
  const recipe = element("select", { id: "recipe" }, RECIPES.map((name) => element("option", { value: name }, t(`train.recipe.${name}`))));
  const previous = element("button", { type: "button", hidden: true, onclick: putBack }, t("train.previous"));
  const view = element("select", { id: "view" });
  let found = null;

  const form = element("form", { class: "card stack", onsubmit: start },
    element("h2", {}, t("train.how")),
    element("div", { class: "filters" },
      element("label", {}, t("train.minutes"), minutes), element("label", {}, t("train.view"), view),
      element("label", {}, t("train.recipe"), recipe), element("label", {}, t("train.steps"), steps)),
    sum, element("div", { class: "actions row" }, button, previous));
  load();
  return [element("section", { class: "card stack" }, element("h2", {}, t("train.images")), element("p", { class: "quiet" }, t("train.images.explain")), uploader(load), groups), form];

  async function load() {
    try {
      found = await get(path);
    } catch (error) {
      notice(error.document?.temporary ? t("health.gone") : error.message, "error");
      return;
    }
    replace(view, (found.drawn ? ["drawn", "in_force", "whole"] : ["in_force", "whole"]).map((name) => element("option", { value: name }, t(`train.view.${name}`))));
    previous.hidden = !found.previous;
    draw();
  }

  async function putBack() {
    previous.disabled = true;
    try {
      const done = await post("/api/training/take", { camera, previous: true });
      notice(t("train.taken", { model: done.model.name }));
    } catch (error) {
      notice(error.message, "error");
    }
    previous.disabled = false;
  }

  function imagesOf(kind) {
    if (kind === "uploads") return found.uploads.map((name) => ({ id: name, src: name.endsWith(".tif") ? null : `/api/training/uploads/${name}` }));
    return found.kept.filter((each) => each.kind === kind).map((each) => ({ id: each.id, src: `${path}/${each.id}` }));
  }

  function draw() {
    replace(groups, Object.keys(use).map((kind) => group(kind, imagesOf(kind))));
    drawSum();
  }

  function group(kind, images) {
    const all = element("input", { type: "checkbox", checked: use[kind] && images.length > 0, disabled: !images.length, onchange: () => { use[kind] = all.checked; drawSum(); } });
    const cards = element("div", { class: "cards" });
    const more = element("details", { ontoggle: () => { if (more.open && !cards.children.length) replace(cards, images.slice(0, SHOWN).map((image, place) => card(image, place))); } },
      element("summary", {}, t("train.look")), cards, images.length > SHOWN ? element("p", { class: "quiet" }, t("train.first", { shown: whole(SHOWN) })) : null);
    return element("div", { class: "group", data: { kind } },
      element("label", { class: "switch plain" }, all, element("span", {}, `${t(`train.kind.${kind}`)}: `, element("b", {}, whole(images.length)))),
      images.length ? more : null,
      kind === "uploads" && images.length ? element("button", { class: "quiet", type: "button", onclick: clear }, t("train.clear")) : null);
  }

  function card(image, place) {
    const mark = element("input", { type: "checkbox", checked: !leftOut.has(image.id), onchange: () => { if (mark.checked) leftOut.delete(image.id); else leftOut.add(image.id); drawSum(); } });
    return element("label", { class: "alarm" },
      image.src ? element("img", { src: image.src, alt: "", loading: "lazy", width: 240, height: 180 }) : element("span", {}, "TIFF"),
      element("span", { class: "when" }, mark, ` ${t("train.image", { number: place + 1 })}`));
  }

  function drawSum() {
    const chosen = Object.keys(use).filter((kind) => use[kind]).flatMap(imagesOf).filter((image) => !leftOut.has(image.id));
    sum.textContent = count("train.chosen", chosen.length);
    button.disabled = !chosen.length;
  }

  async function clear() {
    await post("/api/training/uploads/clear").catch((error) => notice(error.message, "error"));
    load();
  }

  async function start(event) {
    event.preventDefault();
    button.disabled = true;
    try {
      await post("/api/training/start", {
        camera, kinds: ["sample", "false_alarm"].filter((kind) => use[kind]), uploads: use.uploads, left_out: [...leftOut],
        view: view.value, recipe: recipe.value, minutes: Number(minutes.value) || null, steps: steps.value ? Number(steps.value) : null,
      });
      started();
    } catch (error) {
      notice(error.message, "error");
      button.disabled = false;
    }
  }
}

// Files from this computer, one after the other.
function uploader(onDone) {
  const input = element("input", { type: "file", multiple: true, accept: ".png,.jpg,.jpeg,.tif,.tiff,.bmp", id: "upload", class: "hidden", onchange: send });
  const status = element("p", { role: "status" });
  const button = element("button", { type: "button", onclick: () => input.click() }, t("train.upload"));
  return element("div", { class: "actions row" }, element("label", { class: "hidden", for: "upload" }, t("train.upload")), input, button, status);

  async function send() {
    const files = [...input.files];
    button.disabled = true;
    let rejected = "";
    let done = 0;
    for (const [place, file] of files.entries()) {
      status.textContent = t("train.uploading", { number: place + 1, all: files.length });
      try {
        await sendFile("/api/training/uploads", file);
        done += 1;
      } catch (error) {
        rejected ||= `${file.name}: ${error.message}`;
        if (![400, 409, 413].includes(error.status)) break;
      }
    }
    status.textContent = count("train.uploaded", done);
    if (rejected) notice(rejected, "error");
    input.value = "";
    button.disabled = false;
    onDone();
  }
}
