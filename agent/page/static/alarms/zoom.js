// An image at full size: wheel, pinch, buttons and keys zoom; dragging and arrow keys move.

import { element, icon, replace } from "../base/dom.js";
import { t } from "../base/text.js";

const ORDER = ["overlay", "frame", "heatmap"];
const LARGEST = 16;

export function zoomView(alarm) {
  const names = ORDER.filter((name) => alarm.images.includes(name));
  const stage = element("div", { class: "stage", tabindex: 0, role: "group", "aria-label": t("zoom.stage") });
  const image = element("img", { alt: "" });
  const tabs = names.map((name) => element("button", { "aria-pressed": "false", data: { name }, onclick: () => choose(name) }, t(`image.${name}`)));
  const box = element("section", { class: "card zoom" },
    element("div", { class: "tools" }, tabs, element("span", { class: "end" },
      element("button", { "aria-label": t("zoom.out"), title: t("zoom.out"), onclick: () => zoom(1 / 1.5) }, icon("minus")),
      element("button", { onclick: () => fit() }, t("zoom.fit")),
      element("button", { "aria-label": t("zoom.in"), title: t("zoom.in"), onclick: () => zoom(1.5) }, icon("plus")))),
    stage);
  let place = { x: 0, y: 0, scale: 1 };
  let fitted = true;
  const pointers = new Map();

  if (names.length) { stage.append(image); choose(names[0]); } else replace(stage, element("p", {}, t("image.gone")));

  function choose(name) {
    for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab.dataset.name === name));
    image.src = `/api/alarms/${alarm.id}/images/${name}`;
    image.alt = t("image.alt", { image: t(`image.${name}`), camera: alarm.camera });
    fitted = true;
  }

  function smallest() {
    return Math.min(stage.clientWidth / (image.naturalWidth || 1), stage.clientHeight / (image.naturalHeight || 1));
  }

  function fit() {
    const scale = smallest();
    place = { scale, x: (stage.clientWidth - image.naturalWidth * scale) / 2, y: (stage.clientHeight - image.naturalHeight * scale) / 2 };
    fitted = true;
    apply();
  }

  function apply() {
    image.style.transform = `translate(${place.x}px, ${place.y}px) scale(${place.scale})`;
    image.style.imageRendering = place.scale > 3 ? "pixelated" : "auto";
  }

  function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
    const scale = Math.min(LARGEST, Math.max(smallest() * 0.9, place.scale * factor));
    const real = scale / place.scale;
    place = { scale, x: x - (x - place.x) * real, y: y - (y - place.y) * real };
    fitted = false;
    apply();
  }

  function move(dx, dy) {
    place = { ...place, x: place.x + dx, y: place.y + dy };
    fitted = false;
    apply();
  }

  image.addEventListener("load", fit);
  image.addEventListener("dragstart", (event) => event.preventDefault());
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const area = stage.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY * 0.0016), event.clientX - area.left, event.clientY - area.top);
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => {
    const area = stage.getBoundingClientRect();
    if (fitted) zoom(1 / place.scale, event.clientX - area.left, event.clientY - area.top); else fit();
  });
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    stage.classList.add("moving");
  });
  stage.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const [other] = [...pointers.values()].filter((pointer) => pointer.pointerId !== event.pointerId);
    if (other) {
      const distance = (pointer) => Math.hypot(pointer.clientX - other.clientX, pointer.clientY - other.clientY) || 1;
      const area = stage.getBoundingClientRect();
      zoom(distance(event) / distance(before), (event.clientX + other.clientX) / 2 - area.left, (event.clientY + other.clientY) / 2 - area.top);
    } else move(event.clientX - before.clientX, event.clientY - before.clientY);
    pointers.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, (event) => {
      pointers.delete(event.pointerId);
      stage.classList.toggle("moving", pointers.size > 0);
    });
  }
  stage.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };
    if (event.key === "+" || event.key === "=") zoom(1.25);
    else if (event.key === "-") zoom(0.8);
    else if (event.key === "0") fit();
    else if (steps[event.key] && !fitted) move(...steps[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const resized = new ResizeObserver(() => { if (fitted && image.naturalWidth) fit(); });
  resized.observe(stage);
  return { box, close: () => resized.disconnect() };
}
