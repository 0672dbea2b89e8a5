// Draws on an image: a rectangle for the crop and for the code, polygons for what does not count, or counts more or
// less. Mouse, finger or keys.

import { element } from "../base/dom.js";
import { score, t } from "../base/text.js";
import { clamp, cornersOf, distance, isInside, middleOf, movePolygon, moveRectangle, rectangleOf } from "./shapes.js";

const SVG = "http://www.w3.org/2000/svg";

// Pixels of the screen: a corner as it is seen, and how near a finger has to be.
const CORNER = 7;
const REACH = 22;

// Smaller rectangles are slips of the hand.
const SMALLEST = 8;

// A key moves the cursor by a fiftieth of the image, with Shift by a pixel.
const KEY_STEPS = 50;

// How many times a new region counts, until the person says otherwise.
const NEW_FACTOR = 2;

// `aligned`: the image in which everything but the code has its place, where parts are aligned.
export function drawingBoard({ width, height, image, aligned, mask, label, shapes, onChange }) {
  const size = { width, height };
  const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "application", "aria-label": label });
  const source = element("img", { src: `data:image/jpeg;base64,${image}`, alt: "" });
  const upright = aligned ? element("img", { src: `data:image/jpeg;base64,${aligned}`, alt: "" }) : null;
  const layer = mask ? element("img", { src: `data:image/png;base64,${mask}`, alt: "" }) : null;
  const box = element("div", { class: "board" }, source, upright, layer, svg);
  const spoken = element("p", { class: "quiet position", role: "status" });
  box.style.setProperty("--aspect", `${width} / ${height}`);
  box.style.setProperty("--ratio", String(width / height));
  let tool = "crop";
  let draft = [];
  let dragged = null;
  let cursor = null;
  let pointer = null;

  const unit = () => width / (svg.clientWidth || width);
  const rectangular = () => tool === "crop" || tool === "code";
  const polygons = () => (tool === "mask" ? shapes.exclude : shapes.sensitivity.map((region) => region.polygon));

  function change(next) {
    Object.assign(shapes, next);
    draw();
    onChange();
  }

  function draw() {
    svg.replaceChildren();
    if (upright && tool === "code") drawCode(); else drawView();
    drawDraft();
    if (cursor) drawCursor();
  }

  function drawCode() {
    if (!shapes.code) return;
    add("rect", { class: "code", ...shapes.code });
    for (const corner of cornersOf(shapes.code)) dot(corner);
  }

  function drawView() {
    if (shapes.crop) {
      const { x, y, width: w, height: h } = shapes.crop;
      add("path", { class: "outside", d: `M0 0H${width}V${height}H0Z M${x} ${y}v${h}h${w}v${-h}Z`, "fill-rule": "evenodd" });
    }
    for (const polygon of shapes.exclude) add("polygon", { class: "excluded", points: polygon.join(" ") });
    for (const region of shapes.sensitivity) drawRegion(region);
    for (const kind of upright ? ["crop"] : ["crop", "code"]) if (shapes[kind]) add("rect", { class: kind, ...shapes[kind] });
    if (rectangular() && shapes[tool]) for (const corner of cornersOf(shapes[tool])) dot(corner);
    if (!rectangular()) for (const polygon of polygons()) for (const corner of polygon) dot(corner);
  }

  // The factor is written into its region: colour alone would not say it to everybody.
  function drawRegion({ factor, polygon }) {
    add("polygon", { class: factor >= 1 ? "region more" : "region less", points: polygon.join(" ") });
    const [x, y] = middleOf(polygon);
    const text = node("text", { class: "factor", x, y, "font-size": 16 * unit() });
    text.textContent = `×${score(factor)}`;
    svg.append(text);
  }

  function drawDraft() {
    const end = cursor ?? pointer;
    if (!draft.length) return;
    if (rectangular() && end) add("rect", { class: tool, ...rectangleOf(draft[0], end, size) });
    if (rectangular()) return;
    add("polyline", { class: "draft", points: [...draft, ...(end ? [end] : [])].join(" ") });
    draft.forEach((corner, index) => dot(corner, index === 0 && draft.length > 2));
  }

  function drawCursor() {
    const [x, y] = cursor;
    const arm = 16 * unit();
    add("path", { class: "cursor", d: `M${x - arm} ${y}H${x + arm}M${x} ${y - arm}V${y + arm}` });
  }

  function dot([x, y], closes = false) {
    add("circle", { class: closes ? "corner closes" : "corner", cx: x, cy: y, r: (closes ? 1.5 : 1) * CORNER * unit() });
  }

  function add(name, attributes) {
    svg.append(node(name, attributes));
  }

  // One press of the mouse, a finger or the Enter key.
  function press(at) {
    if (rectangular()) {
      if (!draft.length) { draft = [at]; draw(); return; }
      finishRectangle(at);
    } else if (draft.length > 2 && distance(at, draft[0]) < REACH * unit()) closePolygon();
    else { draft.push(at.map(Math.round)); draw(); }
  }

  function finishRectangle(at) {
    const drawn = rectangleOf(draft[0], at, size);
    draft = [];
    if (Math.min(drawn.width, drawn.height) >= SMALLEST) change({ [tool]: drawn }); else draw();
  }

  function closePolygon() {
    const polygon = draft;
    draft = [];
    if (tool === "mask") change({ exclude: [...shapes.exclude, polygon] });
    else change({ sensitivity: [...shapes.sensitivity, { factor: NEW_FACTOR, polygon }] });
  }

  // What is under the pointer, and how it follows it.
  function grab(at) {
    const reach = REACH * unit();
    if (rectangular()) {
      const rectangle = shapes[tool];
      const corner = rectangle && cornersOf(rectangle).findIndex((each) => distance(each, at) < reach);
      if (rectangle && corner >= 0) {
        const opposite = cornersOf(rectangle)[(corner + 2) % 4];
        return (to) => change({ [tool]: atLeast(rectangleOf(opposite, to, size), rectangle) });
      }
      if (rectangle && isInside(at, cornersOf(rectangle))) {
        return (to) => change({ [tool]: moveRectangle(rectangle, to[0] - at[0], to[1] - at[1], size) });
      }
      return null;
    }
    for (const [index, polygon] of polygons().entries()) {
      const corner = polygon.findIndex((each) => distance(each, at) < reach);
      if (corner >= 0) return (to) => replacePolygon(index, polygon.with(corner, [clamp(Math.round(to[0]), 0, width), clamp(Math.round(to[1]), 0, height)]));
      if (isInside(at, polygon)) return (to) => replacePolygon(index, movePolygon(polygon, to[0] - at[0], to[1] - at[1], size));
    }
    return null;
  }

  function atLeast(rectangle, otherwise) {
    return Math.min(rectangle.width, rectangle.height) >= SMALLEST ? rectangle : otherwise;
  }

  function replacePolygon(index, polygon) {
    if (tool === "mask") change({ exclude: shapes.exclude.with(index, polygon) });
    else change({ sensitivity: shapes.sensitivity.with(index, { ...shapes.sensitivity[index], polygon }) });
  }

  function place(event) {
    const area = svg.getBoundingClientRect();
    return [clamp(((event.clientX - area.left) / area.width) * width, 0, width), clamp(((event.clientY - area.top) / area.height) * height, 0, height)];
  }

  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    svg.setPointerCapture(event.pointerId);
    cursor = null;
    const at = place(event);
    dragged = draft.length ? null : grab(at);
    if (!dragged) press(at);
    event.preventDefault();
    svg.focus({ preventScroll: true });
  });
  svg.addEventListener("pointermove", (event) => {
    if (!event.isPrimary) return;
    pointer = place(event);
    if (dragged) dragged(pointer); else if (draft.length) draw();
  });
  svg.addEventListener("pointerup", (event) => {
    if (!event.isPrimary) return;
    if (!dragged && rectangular() && draft.length && distance(place(event), draft[0]) > SMALLEST * unit()) finishRectangle(place(event));
    dragged = null;
  });
  svg.addEventListener("pointercancel", () => { dragged = null; draft = []; draw(); });
  svg.addEventListener("dblclick", () => { if (!rectangular() && draft.length > 3) { draft.pop(); closePolygon(); } });
  svg.addEventListener("blur", () => { cursor = null; draw(); });
  svg.addEventListener("keydown", (event) => {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (arrows[event.key]) moveCursor(arrows[event.key], event.shiftKey ? 1 : Math.max(1, Math.round(Math.max(width, height) / KEY_STEPS)));
    else if (event.key === "Enter" || event.key === " ") { cursor ??= [Math.round(width / 2), Math.round(height / 2)]; press(cursor); speak(); }
    else if (event.key === "Escape" && draft.length) { draft = []; draw(); }
    else if (event.key === "Backspace" || event.key === "Delete") remove();
    else return;
    event.preventDefault();
  });

  function moveCursor([dx, dy], step) {
    const [x, y] = cursor ?? [Math.round(width / 2), Math.round(height / 2)];
    cursor = [clamp(x + dx * step, 0, width), clamp(y + dy * step, 0, height)];
    draw();
    speak();
  }

  function speak() {
    spoken.textContent = t("draw.position", { x: Math.round(cursor[0]), y: Math.round(cursor[1]) });
  }

  function remove() {
    if (draft.length) { draft.pop(); draw(); }
    else if (rectangular()) change({ [tool]: null });
    else if (tool === "mask") change({ exclude: shapes.exclude.slice(0, -1) });
    else change({ sensitivity: shapes.sensitivity.slice(0, -1) });
  }

  // The code has its place in the image as the camera sees it.
  function use(name) {
    tool = name;
    draft = [];
    const asSeen = name === "code" || !upright;
    source.hidden = !asSeen;
    if (upright) upright.hidden = asSeen;
    if (layer && upright) layer.hidden = asSeen;
    draw();
  }

  const resized = new ResizeObserver(draw);
  resized.observe(svg);
  draw();
  return { box, spoken, draw, use, close: () => resized.disconnect() };
}

function node(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}
