// Which part of the image is inspected: crop, areas that do not count, regions that count more or less, and where the
// code is. Drawn on the image.

import { get, may, offers, post } from "../base/api.js";
import { element, notice, replace } from "../base/dom.js";
import { t } from "../base/text.js";
import { drawingBoard } from "./board.js";
import { cornersOf, same } from "./shapes.js";

const TOOLS = ["crop", "mask", "sensitivity", "code"];
const FACTORS = { min: 0.05, max: 10 };
const SIDES = ["x", "y", "width", "height"];

export function viewEditor(camera, { reload }) {
  const path = `/api/cameras/${encodeURIComponent(camera)}/view`;
  const box = element("section", { class: "card", hidden: !(may("engineer") && offers("view/draw")) });
  let board = null;
  let found = null;
  let shapes = null;
  let tool = "crop";

  const start = element("button", { onclick: load }, t("draw.start"));
  replace(box, element("h2", {}, t("draw.title")), element("p", { class: "promise" }, t("draw.explain")), element("div", { class: "actions row" }, start));

  async function load() {
    start.disabled = true;
    try {
      found = await get(path);
    } catch (error) {
      notice(error.document?.temporary ? t("draw.no_image") : error.message, "error");
      return;
    } finally {
      start.disabled = false;
    }
    const known = found.drawn ?? { crop: found.crop, exclude: [], sensitivity: found.sensitivity };
    shapes = { crop: known.crop, exclude: known.exclude, sensitivity: known.sensitivity, code: found.code };
    draw();
  }

  function draw() {
    board?.close();
    board = drawingBoard({ ...found, label: t("draw.board"), shapes, onChange: drawBelow });
    board.use(tool);
    replace(box, element("h2", {}, t("draw.title")),
      element("div", { class: "tools", role: "group", "aria-label": t("draw.tools") }, TOOLS.map((name) => element("button", {
        "aria-pressed": String(name === tool), data: { tool: name }, onclick: () => choose(name) }, t(`draw.tool.${name}`)))),
      help, element("div", { class: "drawing" }, element("div", {}, board.box, board.spoken), below));
    choose(tool);
  }

  const help = element("p", { class: "promise" });
  const below = element("div", { class: "stack" });

  function choose(name) {
    tool = name;
    board.use(name);
    const where = found.aligned ? `${t(name === "code" ? "draw.as_seen" : "draw.as_taught")} ` : "";
    replace(help, `${t(`draw.help.${name}`)} ${where}`, element("span", { class: "keys" }, t("draw.keys")));
    for (const button of box.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", String(button.dataset.tool === name));
    drawBelow();
  }

  function drawBelow() {
    const lists = { mask: areas, sensitivity: regions };
    replace(below, lists[tool] ? lists[tool]() : fields(tool), tool === "code" ? codeLines() : viewActions());
  }

  function areas() {
    if (!shapes.exclude.length) return null;
    return element("ul", { class: "areas" }, shapes.exclude.map((polygon, index) => element("li", {},
      t("draw.area", { number: index + 1, corners: polygon.length }),
      element("button", { class: "quiet", onclick: () => { shapes.exclude = shapes.exclude.toSpliced(index, 1); board.draw(); drawBelow(); } }, t("draw.remove")))));
  }

  function regions() {
    if (!shapes.sensitivity.length) return null;
    return element("ul", { class: "areas" }, shapes.sensitivity.map(({ factor, polygon }, index) => element("li", {},
      element("span", {}, t("draw.region", { number: index + 1, corners: polygon.length })),
      element("label", {}, t("draw.factor"), element("input", {
        type: "number", ...FACTORS, step: "any", value: factor, data: { region: index },
        onchange: (event) => setFactor(index, Number(event.target.value)) })),
      element("button", { class: "quiet", onclick: () => { shapes.sensitivity = shapes.sensitivity.toSpliced(index, 1); board.draw(); drawBelow(); } }, t("draw.remove")))));
  }

  function setFactor(index, factor) {
    if (factor >= FACTORS.min && factor <= FACTORS.max) shapes.sensitivity = shapes.sensitivity.with(index, { ...shapes.sensitivity[index], factor });
    else notice(t("draw.factor.wrong", FACTORS), "error");
    board.draw();
    drawBelow();
  }

  // The same rectangle in numbers.
  function fields(kind) {
    const rectangle = shapes[kind];
    if (!rectangle) return element("div", { class: "actions row" }, element("button", { onclick: () => set(kind, whole()) }, t("draw.whole")));
    return element("div", { class: "filters" }, SIDES.map((side) => element("label", {}, t(`draw.${side}`), element("input", {
      type: "number", min: side === "x" || side === "y" ? 0 : 1, step: 1, value: rectangle[side], data: { side },
      onchange: (event) => set(kind, { ...rectangle, [side]: Math.round(Number(event.target.value)) }) }))),
      element("button", { onclick: () => set(kind, null) }, t("draw.remove")));
  }

  function whole() {
    return { x: 0, y: 0, width: found.width, height: found.height };
  }

  function set(kind, rectangle) {
    const fits = !rectangle || (SIDES.every((side) => Number.isFinite(rectangle[side])) && rectangle.x >= 0 && rectangle.y >= 0 && rectangle.width > 0 && rectangle.height > 0
      && cornersOf(rectangle).every(([x, y]) => x <= found.width && y <= found.height));
    if (fits) shapes[kind] = rectangle; else notice(t("draw.outside", { width: found.width, height: found.height }), "error");
    board.draw();
    drawBelow();
  }

  function viewActions() {
    const kept = found.drawn ?? { crop: null, exclude: [], sensitivity: [] };
    const parts = ({ crop, exclude, sensitivity }) => [crop, exclude, sensitivity.map(({ factor, polygon }) => [factor, polygon])];
    const changed = !same(parts(shapes), parts(kept));
    return [
      element("div", { class: "actions row" },
        element("button", { class: "main save", disabled: !changed, onclick: save }, t("draw.save")),
        element("button", { onclick: load }, t("draw.again"))),
      found.options ? element("div", { class: "stack trained" }, element("p", {}, t("draw.train")),
        snippet(`inspectd train --normal GOOD --out NEW.bundle ${found.options}`)) : null,
      found.aligned && found.drawn ? element("p", { class: "trained" }, t("draw.train.aligned")) : null,
    ];
  }

  async function save() {
    try {
      const done = await post(path, { width: found.width, height: found.height, crop: shapes.crop, exclude: shapes.exclude, sensitivity: shapes.sensitivity });
      Object.assign(found, done);
      notice(t("draw.saved"));
    } catch (error) {
      notice(error.message, "error");
    }
    drawBelow();
  }

  function codeLines() {
    if (!shapes.code) return null;
    if (same(shapes.code, found.code)) return element("p", { class: "promise" }, t("draw.code.active"));
    const { x, y, width, height } = shapes.code;
    return [
      element("p", {}, t("draw.code.explain")),
      snippet(`[${found.code_setting}]\nregion = { x = ${x}, y = ${y}, width = ${width}, height = ${height} }`),
      element("div", { class: "actions row" }, element("button", { onclick: async () => { const code = shapes.code; await reload(); await load(); if (found) { shapes.code = code; draw(); } } }, t("setup.reload"))),
    ];
  }

  return { box, close: () => board?.close() };
}

// Text to be taken to a terminal or a file.
export function snippet(text) {
  const copy = element("button", { class: "quiet", onclick: async () => {
    // Without TLS a browser allows this on the device itself only.
    try { await navigator.clipboard.writeText(text); notice(t("copy.done")); } catch { getSelection().selectAllChildren(shown); }
  } }, t("copy.button"));
  const shown = element("code", {}, text);
  return element("div", { class: "snippet" }, element("pre", { tabindex: 0 }, shown), copy);
}
