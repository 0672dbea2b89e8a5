// The strip of scores with the threshold, drawn by uPlot (global, from /uplot).

import { element } from "../base/dom.js";
import { language, t } from "../base/text.js";

const SHOWN_SECONDS = 300;

// A score of 0 has no place on a logarithmic scale.
const LOWEST = 1e-3;

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return { line: of("--line-good"), above: of("--bad"), threshold: of("--threshold"), grid: of("--grid"), text: of("--quiet") };
}

// Round numbers between two scores, at least three of them; four even steps where there are too few.
export function levels(low, high) {
  const decades = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) decades.push(10 ** power);
  for (const digits of [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 5, 7], [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9]]) {
    const found = decades.flatMap((decade) => digits.map((digit) => Number((digit * decade).toPrecision(3)))).filter((level) => low <= level && level <= high);
    if (found.length >= 3) return found;
  }
  return [1, 2, 3, 4].map((step) => Number((low + step * (high - low) / 5).toPrecision(3)));
}

export function scoreStrip({ height = 150, mark = null } = {}) {
  const box = element("div", { class: "strip", role: "img", "aria-label": t("chart.label") });
  let plot = null;
  let range = [0.1, 1];
  let last = null;

  function build() {
    const colour = colours();
    // One rem, so that a 4K screen has larger letters, too.
    const unit = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
    const axis = { stroke: colour.text, grid: { stroke: colour.grid, width: 1 }, ticks: { show: false }, font: `${Math.round(12 * unit)}px system-ui, sans-serif` };
    const time = (second) => new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second, hourCycle: "h23" });
    const [minutes, seconds] = [time(undefined), time("2-digit")];
    // With ticks closer than a minute, several would have the same text.
    const format = (at) => (at.length > 1 && at[1] - at[0] < 60 ? seconds : minutes);
    plot?.destroy();
    plot = new uPlot({
      width: Math.max(200, box.clientWidth), height: height * unit, legend: { show: false }, cursor: { show: false }, padding: [8, 12, 0, 0],
      // Logarithmic: a very bad part has a hundred times the score of a good one, and both are to be seen.
      scales: { x: { time: true }, y: { distr: 3, range: () => range } },
      axes: [{ ...axis, size: 24 * unit, space: 96 * unit, values: (_, at) => at.map((second) => format(at).format(new Date(second * 1000))) },
             { ...axis, size: 52 * unit, splits: (_, __, low, high) => levels(low, high), filter: (_, values) => values, values: (_, values) => values.map((value) => value === null ? null : new Intl.NumberFormat(language, { maximumSignificantDigits: 3 }).format(value)) }],
      series: [{},
        { stroke: colour.line, width: 1.5, points: { show: false } },
        { stroke: colour.above, width: 0, points: { show: true, size: 7, fill: colour.above, stroke: colour.above } },
        { stroke: colour.threshold, width: 1.5, dash: [6, 4], points: { show: false } }],
      hooks: mark ? { draw: [(u) => drawMark(u, mark, colour.above)] } : {},
    }, [[], [], [], []], box);
    if (last) set(last.points, last.threshold);
  }

  function set(points, threshold) {
    last = { points, threshold };
    if (!plot) return;
    const from = mark ? 0 : Date.now() / 1000 - SHOWN_SECONDS;
    // A slow line has few parts in five minutes: then the latest ones are shown, however old.
    const recent = points.filter((point) => point[0] >= from);
    const shown = recent.length > 20 ? recent : points.slice(-60);
    const scores = shown.map((point) => Math.max(point[1], LOWEST));
    const all = threshold ? [...scores, threshold] : scores;
    range = [Math.min(...all, Infinity) / 1.5, Math.max(...all, LOWEST) * 1.5];
    const above = (point, index) => (point[4] > 0 || (threshold && Math.max(point[1], point[2]) > threshold) ? Math.max(scores[index], point[2]) : null);
    plot.setData([
      shown.map((point) => point[0]), scores, shown.map(above), shown.map(() => threshold ?? null),
    ]);
  }

  const resized = new ResizeObserver(() => { if (plot) plot.setSize({ width: Math.max(200, box.clientWidth), height: plot.height }); else build(); });
  resized.observe(box);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", build);
  return { box, set, close() { resized.disconnect(); scheme.removeEventListener("change", build); plot?.destroy(); plot = null; } };
}

function drawMark(u, at, colour) {
  const x = u.valToPos(at, "x", true);
  u.ctx.save();
  u.ctx.strokeStyle = colour;
  u.ctx.lineWidth = 2 * devicePixelRatio;
  u.ctx.beginPath();
  u.ctx.moveTo(x, u.bbox.top);
  u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
  u.ctx.stroke();
  u.ctx.restore();
}
